/** What a client hears of each way in which the log can fail. */

import { expect, test } from "bun:test";
import { LogError, type LogErrorCode } from "../../src/log/event-log.ts";
import { problemOf, problemResponse, refusals } from "../../src/service/problem.ts";
import { linesOfTheLog } from "./log-lines.ts";

const ANSWERS: readonly (readonly [LogErrorCode, number, string])[] = [
  ["busy", 503, "busy"],
  ["outcome_unknown", 503, "outcome_unknown"],
  ["unavailable", 503, "log_unavailable"],
  ["moved", 503, "log_unavailable"],
  ["closed", 503, "log_unavailable"],
  ["unknown_topic", 503, "log_unavailable"],
  ["topic_changed", 503, "log_unavailable"],
  ["position_out_of_range", 503, "log_unavailable"],
  ["record_too_large", 500, "internal_error"],
];

test.each(ANSWERS)("a log that says %s is answered %d, %s", (code, status, answered) => {
  const message = "topic deposit is gone";
  const problem = problemOf(new LogError(code, message), "a-request");
  expect(problem).toMatchObject({ status, code: answered });
  if (status === 503) expect(problem.message).toBe(message);
  else expect(problem.message).not.toContain(message);
});

test("a damaged file is named to the operator, and not to the client", async () => {
  refusals.forget();
  using told = linesOfTheLog();
  const error = new LogError("corrupt", "/data/log.db is damaged: make a new folder");
  const answer = problemResponse(error, new Request("http://localhost/deposit"));
  expect(answer.status).toBe(503);
  expect(await answer.json()).toEqual({
    error: "the log is damaged: look at the service's messages",
    code: "log_unavailable",
  });
  expect(told.lines.join()).toContain("/data/log.db is damaged: make a new folder");
});
