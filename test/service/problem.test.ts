/** What a client hears of each way in which the log can fail. */

import { expect, test } from "bun:test";
import { LogError, type LogErrorCode } from "../../src/log/event-log.ts";
import { problemOf } from "../../src/service/problem.ts";

const ANSWERS: readonly (readonly [LogErrorCode, number, string])[] = [
  ["busy", 503, "busy"],
  ["outcome_unknown", 503, "outcome_unknown"],
  ["unavailable", 503, "log_unavailable"],
  ["moved", 503, "log_unavailable"],
  ["closed", 503, "log_unavailable"],
  ["unknown_topic", 503, "log_unavailable"],
  ["topic_changed", 503, "log_unavailable"],
  ["position_out_of_range", 503, "log_unavailable"],
  ["corrupt", 500, "internal_error"],
];

test.each(ANSWERS)("a log that says %s is answered %d, %s", (code, status, answered) => {
  const message = "topic deposit is gone";
  const problem = problemOf(new LogError(code, message));
  expect(problem).toMatchObject({ status, code: answered });
  if (status === 503) expect(problem.message).toBe(message);
  else expect(problem.message).not.toContain(message);
});
