/**
 * A data folder's log backed up, and a folder made of a backup.
 *
 *   folder ──> FILE ──> another folder
 */

import { backUpLog, type FinishedFile, restoreLog } from "../log/embedded/backup.ts";

interface Files {
  readonly folder: string;
  readonly file: string;
}

/** Throws LogError; see `backUpLog`. */
export async function backUp(options: Files): Promise<FinishedFile> {
  return backUpLog(options);
}

/** Throws LogError; see `restoreLog`. */
export async function restore(options: Files): Promise<FinishedFile> {
  return restoreLog(options);
}
