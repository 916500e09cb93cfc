/** What a power cut takes of the embedded log's file, and what it cannot take any more. */

import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { logPath } from "../../src/log/embedded/schema.ts";
import { Chance } from "./chance.ts";
import { CALM } from "./conditions.ts";
import { EmbeddedSite } from "./embedded-site.ts";
import { Scheduler } from "./scheduler.ts";

/** Of what is not synced, a cut takes all, its last byte or nothing. */
type Cut = "all" | "last byte" | "nothing";

class ChosenCut extends Chance {
  takes: Cut = "nothing";

  override below(limit: number): number {
    return { all: limit - 1, "last byte": 1, nothing: 0 }[this.takes];
  }
}

/** A log with one more table, that commits may fill which nobody syncs. */
function scratchSite() {
  const chance = new ChosenCut(1);
  const site = new EmbeddedSite({
    ...{ scheduler: new Scheduler(0), chance, conditions: CALM, partitions: 1 },
    judge: { durable: () => {}, committing: () => {} },
    guard: (check) => check(),
    onSyncFailed: () => {},
  });
  const withDatabase = <T>(use: (database: Database) => T): T => {
    const { folder } = site as unknown as { readonly folder: string };
    using database = new Database(logPath(folder));
    return use(database);
  };
  withDatabase((database) => database.exec("CREATE TABLE scratch (value BLOB)"));
  return {
    commit: (bytes: number) =>
      withDatabase((database) => database.exec(`INSERT INTO scratch VALUES (zeroblob(${bytes}))`)),
    count: () =>
      withDatabase((database) => database.query("SELECT * FROM scratch").all().length),
    cut: (takes: Cut) => {
      chance.takes = takes;
      site.powerCut();
    },
    [Symbol.dispose]: () => site.close(),
  };
}

test("what a cut has left, no later one takes", () => {
  using site = scratchSite();
  site.commit(1);
  site.cut("nothing");
  site.commit(1);
  site.cut("all");
  expect(site.count()).toBe(1);
});

test("what is written over the remains of a commit is not durable before it is synced", () => {
  using site = scratchSite();
  site.cut("nothing");
  site.commit(100_000); // many pages, all of which but the last one stay whole
  site.cut("last byte");
  expect(site.count()).toBe(0);
  site.commit(1);
  expect(site.count()).toBe(1);
  site.cut("all");
  expect(site.count()).toBe(0);
});
