import { expect, test } from "bun:test";
import { POLL_MS } from "../../src/log/embedded/bell.ts";
import { Running, temporaryFolder } from "./program.ts";
import { post } from "./session.ts";

const TEST_MS = 60_000;
const DEPOSITS = 41;

test("`serve` and `process` wake each other by the bell, not by the poll behind it", async () => {
  using folder = temporaryFolder();
  const options = { folder: folder.path };
  await using serve = new Running(options, "serve", "--port", "0");
  const url = await serve.serves();
  await using processors = new Running(options, "process", "--all");
  await processors.says(/processing/);
  const tookMs: number[] = [];
  for (let number = 0; number < DEPOSITS; number += 1) {
    const { position } = await post(url, '{"wallet_id": "alice", "amount": 1}');
    const answeredMs = performance.now();
    const check = await fetch(`${url}/check/alice?after=${position}`);
    expect(await check.json()).toMatchObject({ balance: number + 1 });
    tookMs.push(performance.now() - answeredMs);
  }
  // By polls alone the two wake-ups, there and back, would take half of POLL_MS each in the
  // middle. With the bell it is 2 ms where nothing else runs: a slow machine has a hundredfold.
  const middleMs = tookMs.sort((a, b) => a - b)[(DEPOSITS - 1) / 2];
  expect(middleMs).toBeLessThan(POLL_MS / 4);
}, TEST_MS);
