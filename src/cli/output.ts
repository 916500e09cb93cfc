/**
 * What a command says: results to stdout, everything else to stderr.
 *
 *   print ──> stdout (pipes, files)        note ──> stderr
 *
 * Both write at once, so that nothing is lost when the process ends. A reader that goes away
 * (`| head`) is no failure: OutputClosed ends the command quietly.
 */

import { writeSync } from "node:fs";

/** A pipe that is full and does not block is tried again after so long. */
const FULL_PIPE_WAIT_MS = 1;

/** Nobody reads stdout any more. */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";
}

/** One or more lines to stdout, the last newline added. Throws OutputClosed. */
export function print(text: string): void {
  writeAll(1, `${text}\n`);
}

/** One or more lines to stderr; one that nobody reads is dropped. */
export function note(text: string): void {
  try {
    writeAll(2, `${text}\n`);
  } catch (error) {
    if (!(error instanceof OutputClosed)) throw error;
  }
}

/** One JSON value as a line to stdout. Throws OutputClosed. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value));
}

function writeAll(file: number, text: string): void {
  const bytes = Buffer.from(text, "utf8");
  for (let from = 0; from < bytes.length; ) {
    try {
      from += writeSync(file, bytes, from);
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === "EPIPE") throw new OutputClosed("nobody reads the output", { cause: error });
      if (code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FULL_PIPE_WAIT_MS);
    }
  }
}
