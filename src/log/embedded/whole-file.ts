/**
 * Making a file that is there whole or not at all, and never in the place of another one.
 *
 *   made under another name beside it ──synced──> given its name ──> folder synced
 */

import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { LogError } from "../event-log.ts";

/** Made and synced, under another name; disposed of without `putInPlace` it leaves nothing. */
export interface UnfinishedFile<T> extends Disposable {
  readonly made: T;
  /** Gives it its name. Throws LogError `unusable_place`. */
  putInPlace(): void;
}

/**
 * `make` is given the name of a file of its own beside the wanted one. Throws LogError
 * `unusable_place`, and what `make` throws of its kind; nothing is left behind then.
 */
export function makeWhole<T>(file: string, make: (unfinished: string) => T): T {
  using unfinished = makeUnfinished(file, make);
  unfinished.putInPlace();
  return unfinished.made;
}

/** As `makeWhole`, and the file gets its name later, or never. */
export function makeUnfinished<T>(
  file: string,
  make: (unfinished: string) => T,
): UnfinishedFile<T> {
  const folder = orUnusable(file, () => mkdtempSync(`${file}.unfinished-`));
  const unfinished = join(folder, basename(file));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const made = orUnusable(file, () => {
      const result = make(unfinished);
      sync(unfinished);
      return result;
    });
    return {
      made,
      putInPlace: () =>
        orUnusable(file, () => {
          putInPlace(unfinished, file);
          syncFolder(dirname(file));
        }),
      [Symbol.dispose]: remove,
    };
  } catch (error) {
    remove();
    throw error;
  }
}

function orUnusable<T>(file: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof LogError) throw error;
    throw unusable(`${file} cannot be made (${(error as Error).message})`, error);
  }
}

/** Throws LogError `unusable_place`. */
export function refuseToOverwrite(file: string): void {
  if (existsSync(file)) throw unusable(`${file} is there already: name another file`);
  if (existsSync(dirname(file))) return;
  throw unusable(`there is no folder ${dirname(file)}: make it first`);
}

/** Never over another file, where the file system can promise that. */
function putInPlace(unfinished: string, file: string): void {
  try {
    linkSync(unfinished, file);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "EEXIST") throw unusable(`${file} is there by now: name another file`, error);
    refuseToOverwrite(file); // a file system without links, such as a memory stick's
    renameSync(unfinished, file);
  }
}

function sync(path: string): void {
  const file = openSync(path, "r+");
  fsyncSync(file);
  closeSync(file);
}

/** So that the name is there after a power cut, too. */
function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } catch {
    // Some file systems sync no folders; the file itself is synced.
  } finally {
    closeSync(folder);
  }
}

export function unusable(message: string, cause?: unknown): LogError {
  return new LogError("unusable_place", message, { cause });
}
