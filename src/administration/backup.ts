/**
 * A data folder's log backed up, and a folder made of a backup.
 *
 *   folder ──> FILE ──> another folder
 */

import { backUpLog, type FinishedFile, restoreLog } from "../log/embedded/backup.ts";

export type { FinishedFile };

/** Throws LogError; see `backUpLog`. */
export function backUp(options: { readonly folder: string; readonly file: string }): FinishedFile {
  return backUpLog(options);
}

/** Throws LogError; see `restoreLog`. */
export function restore(options: { readonly folder: string; readonly file: string }): FinishedFile {
  return restoreLog(options);
}
