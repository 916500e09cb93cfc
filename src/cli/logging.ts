/**
 * Where log messages go: stderr, readable on a terminal, one JSON object a line elsewhere.
 *
 *   getLogger(...) of any layer ──> formatter ──> stderr
 */

import { isatty } from "node:tty";
import {
  configureSync,
  getJsonLinesFormatter,
  type LogRecord,
  type TextFormatter,
} from "@logtape/logtape";
import { oneJsonLine, oneLine } from "./one-line.ts";
import { note } from "./output.ts";
import type { LogLevel } from "./settings.ts";

const STDERR = 2;
/** What operators did: a record, and no detail that a level could leave out. */
export const OPERATORS_CATEGORY = ["depositaja", "operators"];

/** Once for each thread; only the main thread's `process.stderr` knows that it is a terminal. */
export async function setUpLogging(level: LogLevel): Promise<void> {
  const format = isatty(STDERR) ? await prettyFormatter() : jsonFormatter();
  configureSync({
    sinks: { stderr: (record) => note(format(asSentence(record)).trimEnd()) },
    loggers: [
      { category: [], lowestLevel: level, sinks: ["stderr"] },
      {
        category: OPERATORS_CATEGORY,
        lowestLevel: level === "debug" ? level : "info",
        sinks: ["stderr"],
        parentSinks: "override",
      },
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

function jsonFormatter(): TextFormatter {
  const format = getJsonLinesFormatter();
  return (record) => oneJsonLine(format(record).trimEnd());
}

/** Values without quotes and colours; in JSON they stand apart as well, in `properties`. */
function asSentence(record: LogRecord): LogRecord {
  return { ...record, message: [oneLine(record.message.map(bare).join(""))] };
}

function bare(value: unknown): string {
  return value instanceof Error ? value.message : String(value);
}
