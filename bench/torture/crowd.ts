/**
 * The load of a torture run: clients that retry with keys, readers at positions, commands.
 *
 *   start ──clients, readers, shell──> servers ──told──> witness      end ──> all was answered
 */

import { randomFrom } from "../../src/proof/random.ts";
import { Client, newWallets } from "./client.ts";
import { Reader } from "./reader.ts";
import { Shell } from "./shell.ts";
import type { Witness } from "./witness.ts";

const CLIENTS = 12;
const READERS = 2;
const WALLETS = 200;

export interface CrowdOptions {
  readonly ports: readonly number[];
  readonly witness: Witness;
  readonly seed: number;
  /** Where the data are, for commands; null without any. */
  readonly flags: readonly string[] | null;
  readonly errors: number;
}

export class Crowd {
  private readonly stopping = new AbortController();
  private readonly shell: Shell | null;
  private readonly working: Promise<unknown>;

  constructor({ ports, witness, seed, flags, errors }: CrowdOptions) {
    const wallets = newWallets(`wallet-${seed}`, WALLETS);
    const common = { ports, wallets, witness, signal: this.stopping.signal };
    const clients = Array.from({ length: CLIENTS }, (_, index) =>
      new Client({ ...common, name: `c${index}`, random: randomFrom(seed + 1 + index) }),
    );
    const readers = Array.from({ length: READERS }, (_, index) =>
      new Reader({ ...common, name: `r${index}`, random: randomFrom(seed + 500 + index) }),
    );
    const random = randomFrom(seed - 1);
    this.shell =
      flags === null ? null : new Shell({ ...common, name: "shell", random, flags, errors });
    const all = [...clients, ...readers, ...(this.shell === null ? [] : [this.shell])];
    this.working = Promise.all(all.map((each) => each.run()));
  }

  /** Commands that were killed. */
  get kills(): number {
    return this.shell?.kills ?? 0;
  }

  /** Sends nothing new. `end` waits until all that was sent is answered. */
  stop(): void {
    this.stopping.abort();
  }

  async end(): Promise<void> {
    this.stop();
    await this.working;
  }
}

/** One line of what it came to. */
export function crowdSummary(witness: Witness): string {
  return (
    `${witness.keyed.size} deposits with a key and ${witness.unkeyed.length} without ` +
    `acknowledged, ${witness.refused.length} refused for good and ${witness.unkeyedRefusals} ` +
    `for now, ${witness.conflicts.length} conflicts, ${witness.reads} reads at a position`
  );
}
