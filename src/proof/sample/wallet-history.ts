/**
 * One wallet's rows, in the order in which they come about: a function of the seed and the wallet's
 * number alone, so that the file and the answers each play it for themselves, and none is kept.
 *
 *   seed, wallet ──take, time by time──> rows
 *
 * Of n rows the k-th lies in the k-th of n equal shares of all deposits: they come out by time, one
 * after the other, however many there are.
 */

import { type Random, randomFrom } from "../random.ts";
import { timeAt } from "./daily-rhythm.ts";
import { ordinaryMoves } from "./ordinary-moves.ts";
import type { Cast, SamplePlan } from "./sample-plan.ts";
import type { Move, Scene } from "./scenes.ts";

export interface SampleRow {
  readonly wallet: number;
  /** Names a deposit of the wallet, from 1; a repeat has the number of what it repeats. */
  readonly number: number;
  readonly amountMinor: number;
  /** Unix milliseconds. */
  readonly acceptedAtMs: number;
  /** When it was written down, Unix milliseconds: the file is in this order. */
  readonly writtenAtMs: number;
}

export interface WalletPart {
  readonly wallet: number;
  readonly rows: number;
  /** Null: an ordinary one. */
  readonly scene: Scene | null;
  /** One with many small deposits. */
  readonly isShop: boolean;
  readonly seed: number;
}

/** The busiest, one in so many wallets. */
const WALLETS_A_SHOP = 100;
/** 2^32 over the golden ratio: neighbours' seeds are far apart. */
const SPREAD = 0x9e3779b1;

/** Every wallet's part; `rows` as `rowsOfWallets` gives them. */
export function* walletParts(plan: SamplePlan, cast: Cast, rows: Uint32Array) {
  const salt = Math.floor(randomFrom(plan.seed)() * 2 ** 32);
  for (const [wallet, count] of rows.entries()) {
    const part: WalletPart = {
      wallet,
      rows: count,
      scene: cast.get(wallet) ?? null,
      isShop: wallet * WALLETS_A_SHOP < plan.wallets,
      seed: salt ^ Math.imul(wallet + 1, SPREAD),
    };
    yield part;
  }
}

export class WalletHistory {
  /** When the next rows begin; Infinity where there are no more. Never goes back. */
  nextMs: number;
  private taken = 0;
  private deposits = 0;
  /** After how many rows the scene is played; Infinity once it was. */
  private sceneAt: number;
  private readonly random: Random;

  constructor(private readonly part: WalletPart) {
    const { scene, rows, seed } = part;
    this.random = randomFrom(seed);
    this.sceneAt = scene === null ? Number.POSITIVE_INFINITY : (rows - scene.rows) >> 1;
    this.nextMs = this.timeOfNext();
  }

  /** The rows that come about next, written down then or later. */
  take(): SampleRow[] {
    const atMs = this.nextMs;
    const { wallet } = this.part;
    const rows = this.moves().map(({ amountMinor, afterMs, lateMs, isRepeat }) => {
      if (!isRepeat) this.deposits += 1;
      const acceptedAtMs = atMs + afterMs;
      const writtenAtMs = acceptedAtMs + lateMs;
      return { wallet, number: this.deposits, amountMinor, acceptedAtMs, writtenAtMs };
    });
    this.taken += rows.length;
    this.nextMs = this.timeOfNext();
    return rows;
  }

  private moves(): readonly Move[] {
    const { scene, rows, isShop } = this.part;
    if (scene !== null && this.taken === this.sceneAt) {
      this.sceneAt = Number.POSITIVE_INFINITY;
      return scene.play(this.random);
    }
    const room = Math.min(rows, this.sceneAt) - this.taken;
    return ordinaryMoves(this.random, { room, isShop });
  }

  private timeOfNext(): number {
    const { rows } = this.part;
    if (this.taken >= rows) return Number.POSITIVE_INFINITY;
    return timeAt((this.taken + this.random()) / rows);
  }
}
