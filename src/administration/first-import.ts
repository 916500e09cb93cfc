/**
 * A file for a log that is not there yet: it is looked at before a folder is made for it.
 *
 *   folder without a log, file ──every line──> checked file | ImportError, and nothing is made
 */

import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { DEFAULT_DECIMALS } from "../app.ts";
import { type CheckedImport, checkImport, type FileRequest } from "../deposits/import.ts";
import { logPath } from "../log/embedded/schema.ts";

/**
 * Null where a log is: that one's decimals count. Throws ImportError; then all is as it was.
 */
export async function checkFirstImport(
  request: FileRequest,
  options: { readonly folder: string; readonly decimals: number | null; nowMs: () => number },
): Promise<CheckedImport | null> {
  const { folder, decimals, nowMs } = options;
  if (existsSync(logPath(folder))) return null;
  return checkImport(request, {
    decimals: decimals ?? DEFAULT_DECIMALS,
    temporaryFolder: nearest(folder),
    nowMs,
  });
}

/** The folder, or the one that it will stand in: on the same disk. */
function nearest(folder: string): string {
  return existsSync(folder) ? folder : nearest(dirname(folder));
}
