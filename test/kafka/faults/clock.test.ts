/** A server whose clock is far ahead of the brokers', whose time its records get. */

import { expect } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { SHIFTED_CLOCK } from "../../../bench/children.ts";
import { PROJECT_ROOT, Running, run, temporaryFolder, until } from "../../end-to-end/program.ts";
import { freshPrefix, kafkaTest, testBrokers } from "../broker.ts";

const TEST_MS = 60_000;
const TEN_MINUTES_MS = 600_000;

kafkaTest("a clock far ahead of the brokers': refused until it is set right", async () => {
  using folder = temporaryFolder();
  const clock = join(folder.path, "clock");
  writeFileSync(clock, String(TEN_MINUTES_MS));
  const main = join(PROJECT_ROOT, "src/main.ts");
  const program = [process.execPath, "--no-env-file", "--preload", SHIFTED_CLOCK, main];
  const where = ["--brokers", await testBrokers(), "--prefix", freshPrefix()];
  const environment = { CLOCK_AHEAD_MS_FILE: clock };
  const options = { folder: folder.path, program, environment };
  await using up = new Running(options, "up", "--port", "0", ...where);
  const url = await up.serves();
  const deposit = async (key: string | null) => {
    const headers: Record<string, string> = key === null ? {} : { "idempotency-key": key };
    const body = '{"wallet_id": "alice", "amount": 1}';
    const answer = await fetch(`${url}/deposit`, { method: "POST", body, headers });
    const { code, error, position } = (await answer.json()) as Record<string, string>;
    return { status: answer.status, code, error, position };
  };
  const error = expect.stringMatching(/clock is (599|600|601) s ahead of the brokers'/);
  // The first was written before anything was known of the brokers' clock.
  expect(await deposit(null)).toMatchObject({ status: 503, code: "outcome_unknown", error });
  expect(await deposit("k1")).toMatchObject({ status: 503, code: "log_unavailable", error });
  expect((await fetch(`${url}/readyz`)).status).toBe(503);

  writeFileSync(clock, "0");
  await until(async () => (await fetch(`${url}/readyz`)).status === 200, () => up.err);
  const { status, position } = await deposit("k1");
  expect(status).toBe(200);
  const check = await fetch(`${url}/check/alice?after=${position}`);
  expect(await check.json()).toMatchObject({ balance: 1 });
  const letters = await run({ folder: folder.path }, "dead-letters", "list", ...where);
  expect(letters.out.match(/invalid_record/g)).toHaveLength(2); // of collector and detector
}, TEST_MS);
