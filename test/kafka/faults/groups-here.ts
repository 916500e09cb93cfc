/**
 * The groups on a cluster, run by this process, so that a test sees why a partition stands still.
 */

import { allRecords } from "../../../bench/torture/deposit-log.ts";
import { settleEverything } from "../../../bench/torture/findings.ts";
import { type ClusterPlace, openCluster } from "../../../bench/torture/site.ts";
import { type App, PROCESSOR_NAMES, type ProcessorName } from "../../../src/app.ts";
import { balanceRow } from "../../../src/collector/balance-row.ts";
import { newDeposit } from "../../../src/deposits/deposit.ts";
import { readDeadLetter } from "../../../src/stream/dead-letter.ts";
import type { Processor } from "../../../src/stream/processor.ts";
import type { Position } from "../../../src/stream/position.ts";
import { until } from "../../end-to-end/program.ts";

const SETTLES_WITHIN_MS = 20_000;

export class GroupsHere implements AsyncDisposable {
  private constructor(
    readonly app: App,
    private readonly processors: readonly Processor[],
  ) {}

  static async start(
    place: ClusterPlace,
    names = Object.keys(PROCESSOR_NAMES) as ProcessorName[],
  ): Promise<GroupsHere> {
    const app = await openCluster(place);
    return new GroupsHere(app, app.startProcessors(names));
  }

  /** Appended; not processed yet. */
  deposit(wallet: string, amountMinor: bigint): Promise<Position> {
    const message = newDeposit({ amountMinor, acceptedAtMs: this.app.nowMs() });
    return this.app.deposits.emit({ key: wallet, message });
  }

  /** Appended, as by another program; each group refuses it. */
  async undecodable(partition: number): Promise<void> {
    const value = Buffer.from("junk");
    await this.app.log.append([{ topic: "deposit", partition, key: Buffer.from("x"), value }]);
  }

  /** Resolves once everything in the log is done. */
  async settled(): Promise<void> {
    const pending = await settleEverything(this.app, SETTLES_WITHIN_MS);
    if (pending !== null) throw new Error(`${pending}: ${this.story()}`);
  }

  balance(wallet: string): bigint {
    return this.app.views.balance.get(wallet, balanceRow)?.totalMinor ?? 0n;
  }

  /** Of one group: the key and the reason of each. */
  async deadLetters(group: string): Promise<string[]> {
    const found: string[] = [];
    const topic = `${group}-dead-letters`;
    for await (const record of allRecords(this.app.log, topic, this.app.partitions)) {
      found.push(`${Buffer.from(record.key).toString()} ${readDeadLetter(record).reason}`);
    }
    return found;
  }

  /** Why a group stands still in a partition, once it does. */
  async whyStopped(group: string, partition: number): Promise<string> {
    let why: string | undefined;
    const look = () => {
      const states = this.processors.find((each) => each.group.name === group)?.state() ?? [];
      why = states.find((each) => each.partition === partition)?.error?.message;
      return why !== undefined;
    };
    await until(look, () => this.story());
    return why as string;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const processor of this.processors) await processor.stop();
    await this.app.close();
  }

  private story(): string {
    return this.processors
      .flatMap(({ group, state }) =>
        state().map((each) => `${group.name} ${each.partition} ${each.phase} ${each.error}`),
      )
      .join("\n");
  }
}
