/** What the service logs, and of operators, for tests that say what it tells and how often. */

import { configureSync, resetSync } from "@logtape/logtape";
import { refusals } from "../../src/service/problem.ts";

/** Each line from now on, with its level; `using` ends it. */
export function linesOfTheLog(): { readonly lines: string[] } & Disposable {
  const lines: string[] = [];
  refusals.forget(); // those of other tests
  configureSync({
    reset: true,
    sinks: { lines: ({ level, message }) => lines.push(`${level} ${message.join("")}`) },
    loggers: [
      { category: ["depositaja", "service"], sinks: ["lines"] },
      { category: ["depositaja", "operators"], sinks: ["lines"] },
      { category: ["logtape", "meta"], lowestLevel: "error" },
    ],
  });
  return { lines, [Symbol.dispose]: () => resetSync() };
}
