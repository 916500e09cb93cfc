import { expect, test } from "bun:test";
import { BrokerClock } from "../../../src/log/kafka/broker-clock.ts";
import { CLOCK_AHEAD_MS } from "../../../src/log/kafka/limits.ts";

test("a clock that is ahead of the brokers' is told, until it is set right", () => {
  let aheadMs = 0;
  const clock = new BrokerClock(() => Date.now() + aheadMs, () => {});
  aheadMs = 2 * CLOCK_AHEAD_MS;
  expect(clock.problem).toBeNull(); // nothing is known yet
  clock.saw(-1n, performance.now());
  expect(clock.problem).toBeNull();
  clock.saw(BigInt(Date.now()), performance.now());
  expect(clock.problem).toMatchObject({ code: "unavailable" });
  expect(clock.problem?.message).toContain("480 s ahead of the brokers'");
  aheadMs = -CLOCK_AHEAD_MS;
  expect(clock.problem).toBeNull();
  aheadMs = CLOCK_AHEAD_MS / 2;
  expect(clock.problem).toBeNull();
});

test("an answer that has waited for long is no sign of a clock that is ahead", () => {
  const clock = new BrokerClock(Date.now, () => {});
  const waitedMs = 2 * CLOCK_AHEAD_MS; // as in a process that was stopped
  clock.saw(BigInt(Date.now() - waitedMs), performance.now() - waitedMs);
  expect(clock.problem).toBeNull();
});

test("brokers are asked again while nothing is written, and not with each look", () => {
  let asked = 0;
  const clock = new BrokerClock(Date.now, () => {
    asked += 1;
  });
  clock.saw(BigInt(Date.now() - 2 * CLOCK_AHEAD_MS), performance.now());
  expect([clock.problem, clock.problem]).not.toContain(null);
  expect(asked).toBe(1);
  clock.saw(BigInt(Date.now()), performance.now());
  expect(clock.problem).toBeNull();
});
