/** The rule as an operator sees and sets it, on the running program. */

import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NewRecord } from "../../src/log/event-log.ts";
import { openEmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import { freshPrefix, kafkaTest, testBrokers } from "../kafka/broker.ts";
import {
  type ProgramOptions,
  Running,
  run,
  temporaryFolder,
  until,
  withoutActionLines,
} from "./program.ts";
import { post } from "./session.ts";

const TEST_MS = 90_000;

/** Of alice 9,000.00 within 200 s, of bob 9,000.00 at once; of carol little. */
const HISTORY = `wallet_id,amount,accepted_at,id
alice,6000,2026-01-31T12:00:00Z,1
alice,3000,2026-01-31T12:03:20Z,2
bob,9000,2026-01-31T12:00:00Z,3
carol,1,2026-01-31T12:00:00Z,4
`;

/** What holds on any log; `args` name it. */
async function playRules(at: ProgramOptions, args: readonly string[]): Promise<void> {
  const ask = (...words: string[]) => run(at, ...words, ...args);
  const json = async (...words: string[]) => {
    const { out, err } = await ask(...words, "--json");
    expect(out, err).not.toBe("");
    return JSON.parse(out) as Record<string, unknown>;
  };
  writeFileSync(join(at.folder, "history.csv"), HISTORY);
  await using up = new Running(at, "up", "--port", "0", ...args);
  const url = await up.serves();
  await until(async () => (await fetch(`${url}/readyz`)).status === 200, () => up.err);
  expect(await ask("import", "history.csv")).toMatchObject({ code: 0 });

  const wanted = ["--window", "5m", "--limit", "8000"];
  const tested = await json("backtest", ...wanted);
  expect(tested).toMatchObject({
    rule_in_force: { version: 1, window_ms: 120_000, limit: "10000.00" },
    ...{ deposits: 4, wallets: 3, flagged_by_both: 0, flagged_by_changed_rule_only: 2 },
    flagged: [
      { wallet_id: "bob", rule_in_force: null, changed_rule: { total: "9000.00" } },
      { wallet_id: "alice", changed_rule: { deposit_count: 2, window_end_ms: 1_769_861_000_000 } },
    ],
  });
  if (args.length === 0) await readAndMistype(at);

  const because = ["--reason", "case 17", "--by", "ann"];
  const set = await ask("rules", "set", ...wanted, ...because, "--log-level", "info");
  expect(set).toMatchObject({ code: 0, out: "version 2 is in force: more than 8000.00 in 5m\n" });
  expect(set.err.match(/ann set version 2 of the rule/g)).toHaveLength(1);

  // Those that were over it before are flagged with their next deposit.
  expect((await ask("flags", "--json")).out).toBe("");
  expect(await ask("deposit", "alice", "1", "--at", "2026-01-31T12:03:21Z")).toMatchObject({
    code: 0,
  });
  expect(await json("flags", "alice")).toMatchObject({
    episodes: [{ opening: { rule_version: 2, limit: "8000.00", total: "9001.00" } }],
  });
  if (args.length === 0) await readBack(at);

  // Two at once, whoever is faster: what is said to be set stands in every partition.
  const two = await Promise.all(
    ["7000", "6000"].map((limit) => ask("rules", "set", "--limit", limit, ...because)),
  );
  const { versions } = (await json("rules")) as { versions: { complete: boolean }[] };
  expect(versions.filter(({ complete }) => !complete)).toEqual([]);
  expect(versions).toHaveLength(2 + two.filter(({ code }) => code === 0).length);
  await post(url, '{"wallet_id": "carol", "amount": 8000}');
  expect((await json("flags", "carol"))["flagged"]).toBe(true);
  expect(await ask("verify")).toMatchObject({ code: 0 });
  const letters = await ask("dead-letters", "list", "--all", "--json");
  expect(letters).toMatchObject({ code: 0, out: "" });
}

/** Once version 2 is set and has flagged. */
async function readBack(at: ProgramOptions): Promise<void> {
  const again = ["rules", "set", "--limit", "8000", "--reason", "case 18"];
  const same = await run(at, ...again);
  expect(same.out).toBe("version 2 is so already: more than 8000.00 in 5m\n");
  const [listed, completed, evidence, told] = await Promise.all([
    run(at, "rules"),
    run(at, "rules", "set", "--complete"),
    run(at, "flags", "alice"),
    run(at, "tail", "deposit", "--last", "9"),
  ]);
  expect(listed.out).toMatch(/^ +2 +0-\d+ +20\S+Z +5m +8000\.00 +ann +case 17$/m);
  expect(completed.out).toBe("every version is complete\n");
  expect(evidence.out).toContain("deposits-over-limit, version 2, more than 8000.00 in 5m\n");
  expect(told.out).toMatch(/^7-\d+ +20\S+Z +- +control rule +\{.+"reason":"case 17"/m);
}

/** What does not depend on the log. */
async function readAndMistype(at: ProgramOptions): Promise<void> {
  const ask = (...words: string[]) => run(at, ...words);
  const wanted = ["--window", "5m", "--limit", "8000"];
  const [text, bounded, none, inverted] = await Promise.all([
    ask("backtest", ...wanted),
    ask("backtest", ...wanted, "--from", "2026-01-31T12:00:01Z", "--json"),
    ask("backtest"),
    ask("backtest", ...wanted, "--from", "2", "--to", "2"),
  ]);
  expect(text.out).toMatch(/^by the changed rule only +2$/m);
  expect(text.out).toMatch(/^alice +changed rule only +2026-01-31T12:03:20.000Z +9000.00 +2 +- /m);
  expect(JSON.parse(bounded.out)).toMatchObject({ deposits: 1, flagged: [] });
  for (const each of [none, inverted]) expect(each).toMatchObject({ code: 2, out: "" });
  const wrong = await Promise.all([
    ask("rules", "set", ...wanted),
    ask("rules", "set", "--reason", "x"),
    ask("rules", "set", "--window", "5 m", "--reason", "x"),
    ask("rules", "set", "--window", "25h", "--reason", "x"),
    ask("rules", "set", "--limit", "0.001", "--reason", "x"),
    ask("rules", "set", "--limit", "5", "--reason", ""),
    ask("rules", "set", "--complete", "--limit", "5"),
  ]);
  for (const each of wrong) expect(each).toMatchObject({ code: 2, out: "" });
  expect(wrong.map(({ err }) => err.trim())).toEqual([
    expect.stringContaining("say why with --reason"),
    expect.stringContaining("--window, --limit or both"),
    expect.stringContaining('--window is "5 m"'),
    expect.stringContaining("from 1 s to 24 h"),
    expect.stringContaining('--limit is "0.001": amount has 3 decimals'),
    expect.stringContaining("reason must not be empty"),
    expect.stringContaining("give it alone"),
  ]);
}

/** As many wallets as `backtest` lists, and five more; each has 9,000.00. */
const WALLETS = 25;
const TOPIC = "deposit";

/** What a log holds first in partition 0. */
async function firstRecord(folder: string): Promise<NewRecord> {
  await using log = openedLog(folder);
  for await (const [record] of log.read({ topic: TOPIC, partition: 0, from: 0n, until: 1n })) {
    if (record === undefined) continue;
    const { topic, partition, key, value, headers } = record;
    return { topic, partition, key, value, headers };
  }
  throw new Error(`partition 0 of ${folder} is empty`);
}

function openedLog(folder: string) {
  const log = openEmbeddedLog({ folder, nowMs: Date.now });
  return Object.assign(log, { [Symbol.asyncDispose]: () => log.close() });
}

test("a version that was interrupted is told of, completed, and holds everywhere", async () => {
  using folder = temporaryFolder();
  const at = { folder: folder.path };
  const names = Array.from({ length: WALLETS }, (_, i) => `w${i}`);
  const rows = names.map((name) => `${name},9000,2026-01-31T12:00:00Z`).join("\n");
  writeFileSync(join(folder.path, "history.csv"), `wallet_id,amount,accepted_at\n${rows}\n`);
  const two = ["--partitions", "2"];
  expect(await run(at, "import", "history.csv", ...two)).toMatchObject({ code: 0 });

  const test8000 = ["backtest", "--limit", "8000"];
  const [some, all] = [await run(at, ...test8000), await run(at, ...test8000, "--all")];
  const listed = ({ out }: { readonly out: string }) => out.match(/^w\d+ .+$/gm)?.length;
  expect([listed(some), listed(all)]).toEqual([20, WALLETS]);
  expect(some.out).toEndWith("... and 5 more: --all lists them\n");
  expect(all.out).not.toContain("more: --all");

  // What a program leaves that is killed after partition 0: the record of a version of another log.
  const other = ["--data", "other"];
  writeFileSync(join(folder.path, "none.csv"), "wallet_id,amount,accepted_at\n");
  expect(await run(at, "import", "none.csv", ...two, ...other)).toMatchObject({ code: 0 });
  const because = ["--limit", "8000", "--reason", "case 17", "--by", "ann"];
  const set = await run(at, "rules", "set", ...because, "--json", ...other);
  expect(JSON.parse(set.out)).toMatchObject({
    ...{ outcome: "set", version: 2, limit: "8000.00", complete: true, completed: null },
  });
  const record = await firstRecord(join(folder.path, "other"));
  {
    await using log = openedLog(join(folder.path, "depositaja-data"));
    await log.append([record]);
  }

  const interrupted = await run(at, "rules", "list", "--json");
  const versions = { version: 2, complete: false, positions: [expect.stringMatching(/^0-/), null] };
  expect(JSON.parse(interrupted.out)).toMatchObject({ versions: [{ version: 1 }, versions] });
  const told = await run(at, "rules");
  expect(told.err).toContain("version 2 is in force in 1 of 2 partitions alone: its setting was");
  const completed = await run(at, "rules", "set", "--complete", "--json");
  expect(JSON.parse(completed.out)).toEqual({ completed: 2 });
  expect(completed.err).toContain(" completed version 2 of the rule");
  const again = await run(at, "rules", "set", "--complete", "--json");
  expect(JSON.parse(again.out)).toEqual({ completed: null });
  const after = await run(at, "rules", "--json");
  expect(JSON.parse(after.out)).toMatchObject({
    versions: [{}, { version: 2, limit: "8000.00", set_by: "ann", complete: true }],
  });
  const more = rows.replaceAll(",9000,", ",1,");
  writeFileSync(join(folder.path, "more.csv"), `wallet_id,amount,accepted_at\n${more}\n`);
  expect(await run(at, "import", "more.csv")).toMatchObject({ code: 0 });
  const flags = (await run(at, "flags", "--json")).out.trimEnd().split("\n");
  const flagged = flags.map((line) => (JSON.parse(line) as { wallet_id: string }).wallet_id);
  expect(flagged.toSorted()).toEqual(names.toSorted());
  expect(withoutActionLines(await run(at, "verify"))).toMatchObject({ code: 0, err: "" });
}, TEST_MS);

test("an operator tests and sets the rule of a data folder", async () => {
  using folder = temporaryFolder();
  await playRules({ folder: folder.path }, []);
}, TEST_MS);

kafkaTest("and of a cluster", async () => {
  using folder = temporaryFolder();
  const args = ["--brokers", await testBrokers(), "--prefix", freshPrefix()];
  await playRules({ folder: folder.path }, args);
}, TEST_MS);
