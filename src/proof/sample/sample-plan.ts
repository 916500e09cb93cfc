/**
 * What a sample of deposits is made of: how many rows each wallet has, and which wallets play a
 * scene.
 *
 *   deposits, wallets, seed ──> rows of each wallet, cast
 *
 * Only operations that give the same on every machine are used, roots among them, powers not: the
 * same seed is to give the same file.
 */

import { randomFrom } from "../random.ts";
import { type Scene, SCENES } from "./scenes.ts";

export interface SamplePlan {
  /** Rows of the file, those included that repeat another. At least 1. */
  readonly deposits: number;
  /** At least 1; where there are fewer deposits, some have none. */
  readonly wallets: number;
  /** 32 bits. */
  readonly seed: number;
}

/** What a new log has. */
export const SAMPLE_DECIMALS = 2;

/** Each is kept in memory while the file is written. */
export const MAX_WALLETS = 1_000_000;

/** A scene for so many wallets: a few hundred of 100,000 stand out, as where money is laundered. */
const WALLETS_A_SCENE = 250;
/** In a small sample: each scene so often at least, for there to be something to see. */
const LEAST_OF_A_SCENE = 2;

/** By the wallet's number. */
export type Cast = ReadonlyMap<number, Scene>;

/** Which wallets play which scene, spread from the busiest to the quietest. */
export function castOf({ deposits, wallets, seed }: SamplePlan): Cast {
  const random = randomFrom(seed);
  const wanted = Math.max(Math.floor(wallets / WALLETS_A_SCENE), LEAST_OF_A_SCENE * SCENES.length);
  const count = Math.min(wanted, wallets);
  const cast = new Map<number, Scene>();
  let rows = 0;
  for (let i = 0; i < count; i += 1) {
    const scene = SCENES[i % SCENES.length] as Scene;
    rows += scene.rows;
    if (rows > deposits / 2) break; // the rest is to look like any other day
    cast.set(Math.floor(((i + random()) * wallets) / count), scene);
  }
  return cast;
}

/**
 * How many rows each wallet has, its scene's included; all together as many as are wanted. The
 * k-th has k^(-3/4) of the first's: a few shops have thousands, most people a handful.
 */
export function rowsOfWallets({ deposits, wallets }: SamplePlan, cast: Cast): Uint32Array {
  let others = deposits;
  for (const { rows } of cast.values()) others -= rows;
  const upTo = new Float64Array(wallets);
  let sum = 0;
  for (let k = 0; k < wallets; k += 1) {
    const root = Math.sqrt(k + 1);
    sum += 1 / (root * Math.sqrt(root));
    upTo[k] = sum;
  }
  const rows = new Uint32Array(wallets);
  let given = 0;
  for (let k = 0; k < wallets; k += 1) {
    const until = k === wallets - 1 ? others : Math.floor((others * (upTo[k] as number)) / sum);
    rows[k] = until - given + (cast.get(k)?.rows ?? 0);
    given = until;
  }
  return rows;
}

/** A prime above MAX_WALLETS: its multiples visit every wallet, and not in order. */
const SCATTER = 61_803_439;

/** Busy and quiet wallets are not told apart by their names. */
export function walletId(wallet: number, { wallets }: SamplePlan): string {
  const digits = String(wallets - 1).length;
  return `wallet-${String(((wallet + 1) * SCATTER) % wallets).padStart(digits, "0")}`;
}

/** The client's own id: unique in its wallet, and a repeat's is that of the first. */
export function depositIdOf(number: number): string {
  return `payment-${number}`;
}
