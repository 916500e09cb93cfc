/** Processes killed at random moments under load; `bun run torture --brokers` kills more. */

import { expect } from "bun:test";
import { runBench } from "../../bench/program.ts";
import { kafkaTest, testBrokers } from "../broker.ts";

const TEST_MS = 180_000;

kafkaTest("kill -9 of any process under load loses nothing, counts nothing twice", async () => {
  const few = ["--only", "kills", "--kills", "5", "--minutes", "1"];
  const args = [...few, "--brokers", await testBrokers()];
  const { exitCode, stdout } = await runBench("torture.ts", ...args);
  expect(exitCode, stdout).toBe(0);
  expect(stdout).toMatch(/^seed \d+: nothing lost, nothing twice, \d+ s$/m);
}, TEST_MS);
