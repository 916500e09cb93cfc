/** What is logged of refused requests, however many they are. */

import { expect, test } from "bun:test";
import { COUNT_EVERY_MS, Refusals } from "../../src/service/refusals.ts";
import { linesOfTheLog } from "./log-lines.ts";

test("an outage is told once, counted now and then, and told to be over", () => {
  using told = linesOfTheLog();
  const timers: (() => void)[] = [];
  const passes = () => timers.splice(0).forEach((run) => run());
  const refusals = new Refusals((ms, run) => {
    expect(ms).toBe(COUNT_EVERY_MS);
    timers.push(run);
  });
  for (let i = 0; i < 1_000; i += 1) refusals.tell("log_unavailable", `no broker (${i})`, `r-${i}`);
  refusals.tell("undecided", "the deposit 1-9 is written", "r");
  const first = [
    "warning refused with log_unavailable: no broker (0)",
    "warning refused with undecided: the deposit 1-9 is written",
  ];
  expect(told.lines).toEqual(first);
  passes();
  const counted = [
    ...first,
    "warning refused 999 more with log_unavailable in 10 s: no broker (999)",
    "info nothing refused with undecided for 10 s",
  ];
  expect(told.lines).toEqual(counted);
  passes();
  const over = [...counted, "info nothing refused with log_unavailable for 10 s"];
  expect(told.lines).toEqual(over);
  expect(timers).toEqual([]);
  refusals.tell("log_unavailable", "no broker again", "r");
  expect(told.lines).toEqual([...over, "warning refused with log_unavailable: no broker again"]);
});
