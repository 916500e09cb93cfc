/** One `migrate` works on a folder at a time, be it to move the log or to give the move up. */

import { join } from "node:path";
import { type FileLock, tryLock } from "../log/file-lock.ts";
import { AdministrationError } from "./administration-error.ts";

const LOCK_FILE = "migrate.lock";

/** The folder must be there. Throws AdministrationError `in_use`. */
export function lockFolder(folder: string): FileLock {
  const lock = tryLock(join(folder, LOCK_FILE));
  if (lock !== null) return lock;
  throw new AdministrationError(
    "in_use",
    `another \`migrate\` works on ${folder}: wait until it ends, or stop it`,
  );
}
