import { expect, test } from "bun:test";
import { BrokerClock } from "../../../src/log/kafka/broker-clock.ts";
import { CLOCK_AHEAD_MS } from "../../../src/log/kafka/limits.ts";

test("a clock that is ahead of the brokers' is told, until it is set right", () => {
  let aheadMs = 0;
  const clock = new BrokerClock(() => Date.now() + aheadMs);
  aheadMs = 2 * CLOCK_AHEAD_MS;
  expect(clock.problem).toBeNull(); // nothing is known yet
  clock.saw(-1n);
  expect(clock.problem).toBeNull();
  clock.saw(BigInt(Date.now()));
  expect(clock.problem).toMatchObject({ code: "unavailable" });
  expect(clock.problem?.message).toContain("480 s ahead of the brokers'");
  aheadMs = -CLOCK_AHEAD_MS;
  expect(clock.problem).toBeNull();
  aheadMs = CLOCK_AHEAD_MS / 2;
  expect(clock.problem).toBeNull();
});
