/** The rule as an operator sees and sets it, on the running program. */

import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freshPrefix, kafkaTest, testBrokers } from "../kafka/broker.ts";
import { type ProgramOptions, Running, run, temporaryFolder, until } from "./program.ts";
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
  expect(set.err).toContain("set version 2 of the rule");

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

test("an operator tests and sets the rule of a data folder", async () => {
  using folder = temporaryFolder();
  await playRules({ folder: folder.path }, []);
}, TEST_MS);

kafkaTest("and of a cluster", async () => {
  using folder = temporaryFolder();
  const args = ["--brokers", await testBrokers(), "--prefix", freshPrefix()];
  await playRules({ folder: folder.path }, args);
}, TEST_MS);
