/** Topics that are not what they were. */

import { describe, expect } from "bun:test";
import { partitionOf } from "../../../src/stream/partitioner.ts";
import { until } from "../../end-to-end/program.ts";
import { kafkaTest, testBrokers } from "../broker.ts";
import { AT, doneWith, PARTITIONS, TamperedPlace, WALLET } from "./tampered-place.ts";

const TEST_MS = 60_000;

kafkaTest("goes on from its progress when the broker has dropped the group's offsets", async () => {
  await using there = new TamperedPlace(await testBrokers());
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
});

function madeAnewWhileRead({ prefix }: TamperedPlace): string {
  return (
    `topic ${prefix}deposit was made anew, while partition ${AT} was read from offset 3 on: ` +
    "restore the topic, or start the group anew"
  );
}
