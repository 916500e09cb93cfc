/**
 * Commands beside the services: deposits with an id, and operators who flag wallets and take flags
 * away. Some are killed as well.
 *
 *   `deposit --id`, `flag`, `flag --remove` ──exit code──> witness
 */

import { startProgram } from "../children.ts";
import { below } from "../../src/proof/random.ts";
import type { ClientOptions } from "./client.ts";

/** A command in so many is killed while it runs. */
const KILLED_EVERY = 4;
/** Within which: a command takes less than a second. */
const KILL_WITHIN_MS = 600;
const PAUSE_MS = 1_000;
/** Operators come back to the same few: an action meets what earlier ones left. */
const OPERATED_WALLETS = 8;
const TRIES = 50;

export interface ShellOptions extends ClientOptions {
  /** Where the data are. */
  readonly flags: readonly string[];
  readonly errors: number;
}

export class Shell {
  kills = 0;
  private count = 0;

  constructor(private readonly options: ShellOptions) {}

  async run(): Promise<void> {
    const { random, signal, witness, name } = this.options;
    try {
      while (!signal.aborted) {
        if (random() < 0.5) await this.deposit();
        else await this.operate();
        await Bun.sleep(random() * PAUSE_MS);
      }
    } catch (error) {
      witness.problems.push(`${name}: ${(error as Error).message}`);
    }
  }

  /** Tries with one id until the command ends with success. */
  private async deposit(): Promise<void> {
    const { random, wallets, witness, name } = this.options;
    const wallet = wallets[below(random, wallets.length)]?.name ?? "";
    const cents = 1 + below(random, 99);
    this.count += 1;
    const deposit = witness.ask(wallet, `${name}-${this.count}`, BigInt(cents));
    const amount = `0.${String(cents).padStart(2, "0")}`;
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      const code = await this.command(["deposit", wallet, amount, "--id", deposit.key]);
      if (code !== 0) continue;
      deposit.isAcknowledged = true;
      return;
    }
    throw new Error(`deposit --id ${deposit.key} never succeeded`);
  }

  /** Once: whoever does not know whether it worked would look first. */
  private async operate(): Promise<void> {
    const { random, wallets, witness, name } = this.options;
    const wallet = wallets[below(random, OPERATED_WALLETS)]?.name ?? "";
    this.count += 1;
    const reason = `${name}-${this.count}`;
    witness.operated.add(wallet);
    const action = random() < 0.7 ? ["--remove"] : [];
    const code = await this.command(["flag", wallet, ...action, "--reason", reason]);
    if (code === 0) witness.operatedOn(wallet, reason);
  }

  private async command(args: readonly string[]): Promise<number> {
    const { random, flags, errors } = this.options;
    const child = startProgram([...args, ...flags], { errors });
    if (below(random, KILLED_EVERY) === 0) {
      await Promise.race([Bun.sleep(random() * KILL_WITHIN_MS), child.exited]);
      if (child.isAlive) this.kills += 1;
      await child.kill();
    }
    return child.exited;
  }
}
