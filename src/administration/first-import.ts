/**
 * A file for a log that is not there yet: it is looked at before a folder is made for it.
 *
 *   folder without a log, file ──every line──> checked file | ImportError, and nothing is made
 */

import { accessSync, constants, existsSync, statSync } from "node:fs";
import { dirname, resolve, sep } from "node:path";
import { DEFAULT_DECIMALS } from "../app.ts";
import { type CheckedImport, checkImport, type FileRequest } from "../deposits/import.ts";
import { logPath } from "../log/embedded/schema.ts";

/**
 * Null where a log is, whose decimals count, and where none can be made: to open it says why not;
 * and where bad lines are to stand in the folder, and it has yet to be made. Throws ImportError;
 * then all is as it was.
 */
export async function checkFirstImport(
  request: FileRequest,
  options: { readonly folder: string; readonly decimals: number | null; nowMs: () => number },
): Promise<CheckedImport | null> {
  const { folder, decimals, nowMs } = options;
  const temporaryFolder = nearest(folder);
  if (existsSync(logPath(folder)) || !takesFiles(temporaryFolder)) return null;
  const { skipBad } = request;
  if (skipBad !== null && !existsSync(folder) && isInside(folder, skipBad)) return null;
  return checkImport(request, { decimals: decimals ?? DEFAULT_DECIMALS, temporaryFolder, nowMs });
}

/** The folder, or the one that it will stand in: on the same disk. */
function nearest(folder: string): string {
  return existsSync(folder) ? folder : nearest(dirname(folder));
}

function isInside(folder: string, path: string): boolean {
  return resolve(path).startsWith(`${resolve(folder)}${sep}`);
}

function takesFiles(path: string): boolean {
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
