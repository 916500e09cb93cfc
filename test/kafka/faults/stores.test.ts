/** Stores that do not fit their topics. */

import { expect } from "bun:test";
import { TOMBSTONE_RETENTION_MS } from "../../../src/stream/topology.ts";
import { kafkaTest } from "../broker.ts";
import { AT, doneWith, WALLET } from "./tampered-place.ts";

const TEST_MS = 60_000;

kafkaTest("a store newer than its changelog is refused, with what to do", async () => {
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
