/**
 * Where log messages go: stderr, readable on a terminal, one JSON object a line elsewhere.
 *
 *   getLogger(...) of any layer ──> formatter ──> stderr
 */

import { configureSync, getJsonLinesFormatter, type TextFormatter } from "@logtape/logtape";
import { note } from "./output.ts";
import type { LogLevel } from "./settings.ts";

/** Once for each thread. */
export async function setUpLogging(level: LogLevel): Promise<void> {
  const format = process.stderr.isTTY ? await prettyFormatter() : getJsonLinesFormatter();
  configureSync({
    sinks: { stderr: (record) => note(format(record).trimEnd()) },
    loggers: [
      { category: [], lowestLevel: level, sinks: ["stderr"] },
      // Its own advice on how it is set up is not the user's concern.
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["stderr"] },
    ],
    reset: true,
  });
}

/** Loaded where it is needed only: it costs some milliseconds at every start. */
async function prettyFormatter(): Promise<TextFormatter> {
  const { getPrettyFormatter } = await import("@logtape/pretty");
  return getPrettyFormatter({ timestamp: "time", wordWrap: false });
}
