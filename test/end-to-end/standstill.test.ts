import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Running, run, SOURCE, temporaryFolder, until } from "./program.ts";

const TEST_MS = 60_000;
const [bun = "", ...source] = SOURCE;
const FAILING = [bun, "--preload", join(import.meta.dir, "failing-rule.ts"), ...source];
const STANDS = "is written and stands: it counts once processing goes on";

async function folderWithData() {
  const folder = temporaryFolder();
  const options = { folder: folder.path };
  writeFileSync(join(folder.path, "a.csv"), "wallet_id,amount,accepted_at\nbad-wallet,5,1000\n");
  expect(await run(options, "import", "a.csv")).toMatchObject({ code: 0 });
  const failing = { ...options, program: FAILING };
  return { options, failing, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

/** The place of a deposit, as a message that names it as written has it. */
function placeIn(message: string): { partition: string; offset: string } {
  const match = /deposit (?<partition>\d)-(?<offset>\d+) is written/.exec(message);
  return match?.groups as { partition: string; offset: string };
}

test("a rule that fails ends `deposit` and `check`, and a mended one goes on there", async () => {
  using data = await folderWithData();
  const deposit = await run(data.failing, "deposit", "bad-wallet", "1");
  expect(deposit).toMatchObject({ code: 1, out: "" });
  const { partition, offset } = placeIn(deposit.err);
  const reason =
    `balance stopped at deposit partition ${partition} offset ${offset}: ` +
    "this wallet is not understood; mend the rule and start again: it goes on there";
  expect(deposit.err).toContain(`error: ${reason}; deposit ${partition}-${offset} ${STANDS}\n`);
  const check = await run(data.failing, "check", "bad-wallet");
  expect(check).toMatchObject({ code: 1, out: "" });
  expect(check.err).toContain(`error: ${reason}\n`);
  const mended = await run(data.options, "check", "bad-wallet", "--json");
  expect(mended).toMatchObject({ code: 0, err: "" });
  expect(JSON.parse(mended.out)).toMatchObject({ balance: "6.00" });
}, TEST_MS);

test("a live owner that makes no progress for 5 s ends `deposit` and `check`", async () => {
  using data = await folderWithData();
  await using owner = new Running(data.failing, "process", "--all");
  await owner.says(/processing/);
  const startMs = performance.now();
  const depositing = run(data.options, "deposit", "bad-wallet", "1");
  // The owner has met it, and says why it goes no further; its other partitions go on.
  await until(() => owner.err.includes("this wallet is not understood"), () => owner.err);
  const [deposit, check] = await Promise.all([
    depositing,
    run(data.options, "check", "bad-wallet"),
  ]);
  expect(performance.now() - startMs).toBeGreaterThanOrEqual(5_000);
  expect(deposit).toMatchObject({ code: 1, out: "" });
  const { partition, offset } = placeIn(deposit.err);
  const reason =
    `balance partition ${partition} makes no progress at offset ${offset} of deposit for 5 s: ` +
    `pid ${owner.pid} runs it, look at its messages`;
  expect(deposit.err).toContain(`error: ${reason}; deposit ${partition}-${offset} ${STANDS}\n`);
  expect(check).toMatchObject({ code: 1, out: "" });
  expect(check.err).toContain(`error: ${reason}\n`);
  expect(await run(data.options, "deposit", "alice", "1")).toMatchObject({ code: 0 });
  expect(await owner.stop()).toMatchObject({ code: 0 });
  const mended = await run(data.options, "check", "bad-wallet", "--json");
  expect(JSON.parse(mended.out)).toMatchObject({ balance: "6.00" });
}, TEST_MS);

test("a version of the rule that is written and does not settle is logged", async () => {
  using folder = temporaryFolder();
  const options = { folder: folder.path };
  writeFileSync(join(folder.path, "a.csv"), "wallet_id,amount,accepted_at\nalice,5,1000\n");
  expect(await run(options, "import", "a.csv", "--partitions", "1")).toMatchObject({ code: 0 });
  const failing = { ...options, program: FAILING };
  const because = ["--reason", "case 17", "--by", "ann"];
  const set = await run(failing, "rules", "set", "--limit", "8000", ...because);
  expect(set).toMatchObject({ code: 1, out: "" });
  const written = "version 2 (`rules set --complete` completes it)";
  expect(set.err).toContain(`"message":"ann wrote ${written}: it has not settled"`);
  expect(set.err).toContain(`; ${written} ${STANDS}\n`);
  // A detector that is mended takes it.
  const { out } = await run(options, "rules", "--json");
  expect(JSON.parse(out)).toMatchObject({ versions: [{}, { version: 2, set_by: "ann" }] });
}, TEST_MS);
