import { expect, test } from "bun:test";
import { kafkaTest, testBrokers } from "../kafka/broker.ts";
import { expectTable, runBench } from "./program.ts";

/** Half a minute on a quiet machine. */
const TIMEOUT_MS = 180_000;

/** The issue's table: what each row is about. */
const ROWS = [
  /POST \/deposit, c=64, acks=all/,
  /kafkajs's own produce of the same bytes/,
  /POST \/deposit with a key, c=64/,
  /the same: p50/,
  /backlog of 200k deposits over 10k wallets: collector and detector, exactly once/,
  /the same, all deposits of 100 wallets within one window/,
  /raw kafkajs loop in transactions/,
  /the collector alone, against the raw loop/,
  /the detector alone, against the raw loop/,
  /deposit answered → settled, 500\/s open loop: p50/,
  /deposit answered → settled, 500\/s open loop: p99/,
  /catch-up of a new view of 1M rows/,
  /recovery of the collector's lost stores, 1M rows/,
  /`verify` of 1M deposits of 1M wallets/,
  /idle `serve` and `process --all`: CPU/,
];

kafkaTest(
  "the benchmarks on a cluster run through in little and give every row of the table",
  async () => {
    expect(await expectTable(ROWS, "--brokers", await testBrokers())).toBe(ROWS.length);
  },
  TIMEOUT_MS,
);

test("a benchmark that does not run on a cluster is refused with the names that do", async () => {
  const args = ["--brokers", "127.0.0.1:1", "--only", "start"];
  const { exitCode, stderr } = await runBench("main.ts", ...args);
  expect(exitCode).toBe(2);
  expect(stderr).toContain("backlog, settle");
});
