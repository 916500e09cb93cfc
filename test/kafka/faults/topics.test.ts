/** Topics that are not what they were, and stores that do not fit them. */

import { Database } from "bun:sqlite";
import { describe, expect } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Admin } from "kafkajs";
import type { ProcessorName } from "../../../src/app.ts";
import { depositStream, newDeposit } from "../../../src/deposits/deposit.ts";
import { declared } from "../../../src/log/kafka/topics.ts";
import { partitionOf } from "../../../src/stream/partitioner.ts";
import { TOMBSTONE_RETENTION_MS } from "../../../src/stream/topology.ts";
import { Running, temporaryFolder, until } from "../../end-to-end/program.ts";
import { freshPrefix, kafkaTest, testBrokers } from "../broker.ts";
import { foreignClient } from "../foreign-client.ts";
import { GroupsHere } from "./groups-here.ts";

const TEST_MS = 60_000;
const PARTITIONS = 2;
const WALLET = "alice";
/** Of each group. */
const INPUTS = { balance: "deposit", threshold: "deposit", flagger: "flag_wallet" };
const AT = partitionOf(Buffer.from(WALLET), PARTITIONS);

kafkaTest("goes on from its progress when the broker has dropped the group's offsets", async () => {
  await using there = new There(await testBrokers());
  await there.runs(async (groups) => {
    for (let i = 0; i < 3; i += 1) await groups.deposit(WALLET, 5n);
    await groups.deposit("of the other partition", 1_000_001n); // one that flags
    await groups.settled();
    await there.toolsSee(groups, [4n, 4n, 1n]);
  });
  await there.admin((admin) =>
    admin.deleteGroups(["balance", "threshold", "flagger"].map((name) => there.prefix + name)),
  );
  await there.runs(async (groups) => {
    await groups.deposit(WALLET, 5n);
    await groups.settled();
    expect(groups.balance(WALLET)).toBe(20n);
    await there.toolsSee(groups, [5n, 5n, 1n]);
  });
}, TEST_MS);

describe("refuses, and says which topic, where and what to do, when", () => {
  kafkaTest("a stream was deleted", async () => {
    await using there = await doneWith(3);
    await there.deleteTopic("deposit");
    await there.runs(async (groups) => {
      for (const group of ["balance", "threshold"]) {
        expect(await groups.whyStopped(group, AT)).toBe(
          `${group} stands at offset 3 of deposit partition ${AT}, which holds 0 to 0: restore ` +
            "the topic, or start the group anew",
        );
      }
    });
  }, TEST_MS);

  kafkaTest("a stream was made anew, with other records in their place", async () => {
    await using there = await doneWith(3);
    await there.deleteTopic("deposit");
    await there.runs(async (groups) => {
      for (let i = 0; i < 4; i += 1) await groups.deposit(WALLET, 6n);
    }, []);
    await there.runs(async (groups) => {
      expect(await groups.whyStopped("balance", AT)).toBe(
        `offset 2 of deposit partition ${AT} is not the record that balance has done: the topic ` +
          "was made anew; restore it, or start the group anew",
      );
      expect(groups.balance(WALLET)).toBe(15n);
    });
  }, TEST_MS);

  kafkaTest("a stream was truncated before the group had done it", async () => {
    await using there = await doneWith(3);
    await there.runs(async (groups) => {
      for (let i = 0; i < 3; i += 1) await groups.deposit(WALLET, 5n);
    }, []);
    await there.truncate("deposit", 5);
    await there.runs(async (groups) => {
      expect(await groups.whyStopped("balance", AT)).toContain(
        `balance stands at offset 3 of deposit partition ${AT}, which holds 5 to 6`,
      );
    });
  }, TEST_MS);

  kafkaTest("a stream was truncated before the group had done anything", async () => {
    await using there = await doneWith(0);
    await there.runs(async (groups) => {
      for (let i = 0; i < 3; i += 1) await groups.deposit(WALLET, 5n);
    }, []);
    await there.truncate("deposit", 2);
    await there.runs(async (groups) => {
      expect(await groups.whyStopped("balance", AT)).toContain(
        `balance has done nothing of deposit partition ${AT}, which begins at offset 2`,
      );
    });
  }, TEST_MS);

  kafkaTest("an output is deleted: only the partition that writes to it stands still", async () => {
    await using there = await doneWith(1);
    await there.runs(async (groups) => {
      const other = Array.from({ length: 20 }, (_, n) => `wallet-${n}`).find(
        (wallet) => partitionOf(Buffer.from(wallet), PARTITIONS) !== AT,
      ) as string;
      await groups.undecodable(AT); // so that the topic is known
      await groups.settled();
      await there.deleteTopic("balance-dead-letters");
      await groups.undecodable(AT);
      expect(await groups.whyStopped("balance", AT)).toContain("balance-dead-letters");
      await groups.deposit(other, 5n);
      await until(
        () => groups.balance(other) === 5n,
        () => "the other partition stands still, too",
      );
    });
  }, TEST_MS);

  kafkaTest("a stream is deleted while it is read", async () => {
    await using there = await doneWith(2);
    await there.runs(async (groups) => {
      await groups.deposit(WALLET, 5n); // done by groups that read by now
      await groups.settled();
      await there.deleteTopic("deposit");
      for (const group of ["balance", "threshold"]) {
        expect(await groups.whyStopped(group, AT)).toBe(
          `topic ${there.prefix}deposit is gone, while partition ${AT} was read from offset 3 ` +
            "on: restore the topic, or start the group anew",
        );
      }
      // Who does not read it goes on.
      const action = { kind: "add", actor: "test", reason: "", atMs: 0 } as const;
      await groups.app.wallets.act({ ...action, walletId: WALLET, id: "a" });
      const isFlagged = () => groups.app.wallets.flag(WALLET).isFlagged;
      await until(isFlagged, () => "flagger stands still, too");
    });
  }, TEST_MS);

  kafkaTest("a stream is made anew while it is read", async () => {
    await using there = await doneWith(2);
    await there.runs(async (groups) => {
      await groups.deposit(WALLET, 5n); // done by groups that read by now
      await groups.settled();
      await there.deleteTopic("deposit");
      await there.createTopic("deposit");
      expect(await groups.whyStopped("balance", AT)).toBe(madeAnewWhileRead(there));
      expect(groups.balance(WALLET)).toBe(15n);
    });
  }, TEST_MS);

  kafkaTest("a stream is made anew and filled while it is read", async () => {
    await using there = await doneWith(2);
    await there.runs(async (groups) => {
      await groups.deposit(WALLET, 5n); // done by groups that read by now
      await groups.settled();
      await there.replaceTopic("deposit", 5);
      for (const group of ["balance", "threshold"]) {
        expect(await groups.whyStopped(group, AT)).toBe(madeAnewWhileRead(there));
      }
      expect(groups.balance(WALLET)).toBe(15n);
    });
    await there.runs(async (groups) => {
      expect(await groups.whyStopped("balance", AT)).toContain(
        `offset 2 of deposit partition ${AT} is not the record that balance has done`,
      );
    });
  }, TEST_MS);

  kafkaTest("a changelog was deleted", async () => {
    await using there = await doneWith(3);
    await there.deleteTopic("balance-table");
    await there.says(
      new RegExp(
        `balance has written to offset \\d of balance-table partition ${AT}, which holds 0 to 0: ` +
          "restore the topic, or start the group anew",
      ),
    );
    await there.deleteTopic("balance-progress");
    await there.stopPrograms();
    there.deleteStores();
    await there.runs(async (groups) => {
      await groups.settled();
      expect(groups.balance(WALLET)).toBe(15n);
    });
  }, TEST_MS);

  kafkaTest("a group's progress was deleted", async () => {
    await using there = await doneWith(3);
    await there.deleteTopic("balance-progress");
    await there.says(
      new RegExp(
        `balance has no progress in partition ${AT}, but rows up to offset \\d of balance-table: ` +
          "restore balance-progress, or start the group anew",
      ),
    );
  }, TEST_MS);

  kafkaTest("a store is newer than its changelog", async () => {
    await using there = await doneWith(3);
    there.changeStore((store) =>
      store.run("UPDATE place SET progress = json_set(progress, '$.changelog', 99)"),
    );
    await there.runs(async (groups) => {
      const why = await groups.whyStopped("balance", AT);
      expect(why).toContain(`stands at offset 99 of balance-table partition ${AT}`);
      expect(why).toMatch(/committed only up to \d: delete the store, and it is built anew$/);
    });
  }, TEST_MS);
});

kafkaTest("a store older than half the tombstones' time is built anew", async () => {
  for (const [ageMs, rows] of [
    [TOMBSTONE_RETENTION_MS / 2 + 60_000, 0],
    [TOMBSTONE_RETENTION_MS / 2 - 60_000, 1],
  ] as const) {
    await using there = await doneWith(3);
    // A row that was deleted meanwhile, whose tombstone is gone.
    there.changeStore((store) => {
      store.run("INSERT INTO rows VALUES (x'ff00', x'00')");
      store.run("UPDATE place SET in_step_ms = ?", [Date.now() - ageMs]);
    });
    await there.elsewhere(async (groups) => {
      await groups.deposit(WALLET, 5n);
      await groups.settled();
    });
    await there.runs(async (groups) => {
      await groups.deposit(WALLET, 5n);
      await groups.settled();
      expect(groups.balance(WALLET)).toBe(25n);
    });
    const count = there.changeStore((store) =>
      store.query("SELECT COUNT(*) AS count FROM rows WHERE key = x'ff00'").get(),
    );
    expect([ageMs, count]).toEqual([ageMs, { count: rows }]);
  }
}, TEST_MS);

kafkaTest("a store from before its group was started anew is built anew", async () => {
  await using there = await doneWith(3);
  there.changeStore((store) => store.run("INSERT INTO rows VALUES (x'ff00', x'00')"));
  await there.deleteTopic("balance-table");
  await there.deleteTopic("balance-progress");
  await there.elsewhere(async (groups) => {
    for (let i = 0; i < 5; i += 1) {
      await groups.deposit(WALLET, 5n); // until the changelog is longer than the store is far
      await groups.settled();
    }
  });
  await there.runs(async (groups) => {
    await groups.deposit(WALLET, 5n);
    await groups.settled();
    expect(groups.balance(WALLET)).toBe(45n);
  });
  const count = there.changeStore((store) =>
    store.query("SELECT COUNT(*) AS count FROM rows WHERE key = x'ff00'").get(),
  );
  expect(count).toEqual({ count: 0 });
}, TEST_MS);

function madeAnewWhileRead({ prefix }: There): string {
  return (
    `topic ${prefix}deposit was made anew, while partition ${AT} was read from offset 3 on: ` +
    "restore the topic, or start the group anew"
  );
}

/** A place whose groups have done so many deposits of 0.05 and are at rest. */
async function doneWith(deposits: number): Promise<There> {
  const there = new There(await testBrokers());
  await there.runs(async (groups) => {
    for (let i = 0; i < deposits; i += 1) {
      await groups.deposit(WALLET, 5n);
      await groups.settled();
    }
  });
  return there;
}

class There implements AsyncDisposable {
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
    await this.admin((admin) => admin.createTopics({ topics: [own], waitForLeaders: true }));
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
