import { expect, test } from "bun:test";
import { configureSync, resetSync } from "@logtape/logtape";
import { watchLog } from "../../src/cli/log-watch.ts";

test("a log that is away is told of once, and so is that it is back", async () => {
  const lines: string[] = [];
  configureSync({
    reset: true,
    sinks: { lines: ({ level, message }) => lines.push(`${level} ${message.join("")}`) },
    loggers: [
      { category: ["depositaja", "process"], sinks: ["lines"] },
      { category: ["logtape", "meta"], lowestLevel: "error" },
    ],
  });
  const looks = [null, "no broker answers", "no broker answers", "another word", null, null];
  const stopping = new AbortController();
  await watchLog({
    problem: () => looks.shift() ?? null,
    delay: async () => {
      if (looks.length === 0) stopping.abort();
    },
    signal: stopping.signal,
  });
  resetSync();
  expect(lines).toEqual([
    "warning cannot reach the log, trying again: no broker answers",
    "info the log is reached again",
  ]);
});
