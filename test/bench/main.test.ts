import { expect, test } from "bun:test";
import { PROGRAM_VARIABLE } from "../end-to-end/program.ts";
import { expectTable, runBench, runBenchIn } from "./program.ts";

/** Some twenty seconds on a quiet machine. */
const TIMEOUT_MS = 180_000;

/** The issue's table: what each row is about. */
const ROWS = [
  /`serve`: POST \/deposit.* against a bare JSON echo/,
  /GET \/check with 100k wallets.* against a bare JSON answer/,
  /`up`: deposits over HTTP, c=64, 10k wallets/,
  /the same: p99/,
  /until all is settled/,
  /backlog of 1M deposits over 10k wallets through all groups/,
  /the same, an id each/,
  /detector: in order, 100k in the window/,
  /detector: in order, 100k before the window/,
  /detector: in order, exceeding, 100k in the window/,
  /detector: in order, exceeding, 100k before the window/,
  /detector: late, in the middle of 100k/,
  /deposit answered → settled, 1,000\/s open loop: p50/,
  /deposit answered → settled, 1,000\/s open loop: p99/,
  /rebuilding the collector's lost stores/,
  /rebuilding the detector's lost stores/,
  /rebuilding the flagger's lost stores/,
  /import of 1M lines until appended/,
  /`verify` of 1M deposits of 1M wallets/,
  /`backtest` of 1M deposits of 1M wallets/,
  /executable: `up` on a folder of 10k wallets, to the first answer/,
  /idle `up`: CPU/,
  /GET \/metrics of `up` with 1M wallets, every 15 s: CPU/,
  /memory of `up` with 1M wallets/,
  /bytes on disk a deposit/,
];

test(
  "the benchmarks run through in little and give every row of the table",
  async () => {
    await expectTable(ROWS);
  },
  TIMEOUT_MS,
);

test("the README gets no figures of a program that was built at some time", async () => {
  const built = { [PROGRAM_VARIABLE]: "/nowhere/depositaja" };
  const { exitCode, stderr } = await runBenchIn(built, "main.ts", "--readme");
  expect(exitCode).toBe(2);
  expect(stderr).toContain(`unset ${PROGRAM_VARIABLE}`);
});

test("an unknown benchmark is refused with the names that there are", async () => {
  const { exitCode, stderr } = await runBench("main.ts", "--only", "speed");
  expect(exitCode).toBe(2);
  expect(stderr).toContain("backlog");
});
