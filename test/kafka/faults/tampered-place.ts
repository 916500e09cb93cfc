/**
 * A place in the cluster whose groups run and rest as a test says, and what is done to its topics
 * and stores meanwhile.
 *
 *   runs(work) ──> groups at rest ──> topics, stores changed ──> runs again, or says why not
 */

import { Database } from "bun:sqlite";
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Admin } from "kafkajs";
import type { ProcessorName } from "../../../src/app.ts";
import { depositStream, newDeposit } from "../../../src/deposits/deposit.ts";
import { declared } from "../../../src/log/kafka/topics.ts";
import { partitionOf } from "../../../src/stream/partitioner.ts";
import { Running, temporaryFolder, until } from "../../end-to-end/program.ts";
import { freshPrefix, testBrokers } from "../broker.ts";
import { createLed, foreignClient } from "../foreign-client.ts";
import { GroupsHere } from "./groups-here.ts";

export const PARTITIONS = 2;
export const WALLET = "alice";
/** The wallet's partition. */
export const AT = partitionOf(Buffer.from(WALLET), PARTITIONS);
/** Of each group. */
const INPUTS = { balance: "deposit", threshold: "deposit", flagger: "flag_wallet" };

/** A place whose groups have done so many deposits of 0.05 and are at rest. */
export async function doneWith(deposits: number): Promise<TamperedPlace> {
  const there = new TamperedPlace(await testBrokers());
  await there.runs(async (groups) => {
    for (let i = 0; i < deposits; i += 1) {
      await groups.deposit(WALLET, 5n);
      await groups.settled();
    }
  });
  return there;
}

export class TamperedPlace implements AsyncDisposable {
  readonly prefix = freshPrefix();
  private readonly folder = temporaryFolder();
  private readonly programs: Running[] = [];

  constructor(private readonly brokers: string) {}

  /** With the groups, or some of them, run by this process. */
  runs(
    work: (groups: GroupsHere) => Promise<void>,
    names?: readonly ProcessorName[],
  ): Promise<void> {
    return this.runsIn("here", work, names);
  }

  /** On another machine. */
  elsewhere(work: (groups: GroupsHere) => Promise<void>): Promise<void> {
    return this.runsIn("elsewhere", work);
  }

  /** What a program that runs the groups says of it on stderr. */
  async says(pattern: RegExp): Promise<void> {
    const { brokers, prefix, folder } = this;
    const data = join(folder.path, "here");
    const flags = ["--brokers", brokers, "--prefix", prefix, "--data", data];
    const program = new Running({ folder: folder.path }, "process", "--all", ...flags);
    this.programs.push(program);
    await until(() => pattern.test(program.err), () => program.err);
  }

  async admin<T>(work: (admin: Admin) => Promise<T>): Promise<T> {
    const admin = foreignClient(this.brokers).admin();
    await admin.connect();
    try {
      return await work(admin);
    } finally {
      await admin.disconnect();
    }
  }

  /** Offsets of each group are what its progress says in every partition, and so many in all. */
  async toolsSee({ app: { log } }: GroupsHere, sums: readonly bigint[]): Promise<void> {
    for (const [index, [group, input]] of Object.entries(INPUTS).entries()) {
      const options = { groupId: this.prefix + group, topics: [this.prefix + input] };
      const look = async () => {
        const found = await this.admin((admin) => admin.fetchOffsets(options));
        const offsets = (found[0]?.partitions ?? []).map(({ offset }) => Number(offset));
        const done = await Promise.all(
          Array.from({ length: PARTITIONS }, (_, partition) => log.progress(group, partition)),
        );
        const stands = done.map((each) => Number(each?.inputs[0]?.nextOffset ?? -1));
        const sum = stands.reduce((total, each) => total + Math.max(0, each), 0);
        shown = `${group} is shown at ${offsets}, and stands at ${stands}`;
        return Bun.deepEquals(offsets, stands) && BigInt(sum) === sums[index];
      };
      let shown = "";
      await until(look, () => shown);
    }
  }

  async deleteTopic(name: string): Promise<void> {
    const topic = this.prefix + name;
    await this.admin(async (admin) => {
      await admin.deleteTopics({ topics: [topic] });
      const isGone = async () => !(await admin.listTopics()).includes(topic);
      await until(isGone, () => `${topic} is still there`);
    });
  }

  /** Empty, as it is declared. */
  async createTopic(name: string): Promise<void> {
    const topic = this.prefix + name;
    const spec = { name, partitions: PARTITIONS, cleanup: "keep", retentionMs: null } as const;
    const entries = Object.entries(declared(topic, spec).config);
    const configEntries = entries.map(([setting, value]) => ({ name: setting, value }));
    const own = { topic, numPartitions: PARTITIONS, replicationFactor: 1, configEntries };
    await this.admin((admin) => createLed(admin, own));
  }

  /** Another, at once, with so many deposits of 0.07 in the wallet's partition. */
  async replaceTopic(name: string, deposits: number): Promise<void> {
    const topic = this.prefix + name;
    const producer = foreignClient(this.brokers).producer();
    await producer.connect();
    await this.deleteTopic(name);
    await this.createTopic(name);
    const message = newDeposit({ amountMinor: 7n, acceptedAtMs: Date.now() });
    const value = Buffer.from(depositStream.codec.encode(message));
    const deposit = { partition: AT, key: WALLET, value };
    await producer.send({ topic, messages: Array.from({ length: deposits }, () => deposit) });
    await producer.disconnect();
  }

  async truncate(name: string, offset: number): Promise<void> {
    const topic = this.prefix + name;
    const partitions = [{ partition: AT, offset: String(offset) }];
    await this.admin(async (admin) => {
      await admin.fetchTopicOffsets(topic); // it must know the leader
      await admin.deleteTopicRecords({ topic, partitions });
    });
  }

  /** The collector's, in the wallet's partition. */
  changeStore<T>(change: (store: Database) => T): T {
    const pattern = `here/kafka/*/*/*/stores/balance-table/${AT}.db`;
    const [path] = new Bun.Glob(pattern).scanSync(this.folder.path);
    using store = new Database(join(this.folder.path, path as string));
    return change(store);
  }

  deleteStores(): void {
    rmSync(join(this.folder.path, "here"), { recursive: true });
  }

  async stopPrograms(): Promise<void> {
    for (const program of this.programs) await program[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopPrograms();
    this.folder[Symbol.dispose]();
  }

  private async runsIn(
    machine: string,
    work: (groups: GroupsHere) => Promise<void>,
    names?: readonly ProcessorName[],
  ): Promise<void> {
    const { brokers, prefix } = this;
    const folder = join(this.folder.path, machine);
    const place = { brokers, prefix, folder, partitions: PARTITIONS };
    await using groups = await GroupsHere.start(place, names?.slice());
    await work(groups);
  }
}
