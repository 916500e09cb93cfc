/**
 * The file that keys lie in: a line each, written whole or not at all.
 *
 *   file ──readable by others? refused──> text ──> keys
 *   keys ──> FILE.new (0600, one writer at a time) ──synced, renamed──> FILE
 *
 * An operator's own comments stay where they are.
 */

import {
  closeSync,
  existsSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { AccessError } from "./access-error.ts";
import { type ApiKey, parseKeys, withKeys } from "./api-key.ts";

/** For its owner alone. */
const FILE_MODE = 0o600;
/** Reading and all else by others, writing by the group: a mounted secret is often a group's. */
const OPEN_TO_OTHERS = 0o027;
/** MAX_KEYS lines of the longest kind, and comments beside them. */
const MAX_FILE_BYTES = 2 * 1024 * 1024;

/** Throws AccessError `file_unavailable`, `file_open_to_others`. */
export function readKeyText(path: string): string {
  try {
    const status = statSync(path);
    // A pipe gives its text once, and makes whoever reads it again wait: a service looks again.
    if (!status.isFile()) {
      const message = `the key file ${path} is no regular file: write the keys to one`;
      throw new AccessError("file_unavailable", message);
    }
    const { mode, size } = status;
    if ((mode & OPEN_TO_OTHERS) !== 0) {
      throw new AccessError(
        "file_open_to_others",
        `the key file ${path} is open to others: chmod 600 ${path}`,
      );
    }
    checkSize(path, size);
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof AccessError) throw error;
    throw unavailable(path, "read", error);
  }
}

/** Throws as `readKeyText` and `parseKeys` do. */
export function readKeys(path: string): readonly ApiKey[] {
  return parseKeys(readKeyText(path), path);
}

/** None where there is no file yet. Throws as `readKeys` does, and AccessError `name_taken`. */
export function addKey(path: string, key: ApiKey): void {
  changeKeys(path, (keys) => {
    const known = keys.find(({ name }) => name === key.name);
    if (known === undefined) return [...keys, key];
    const was = known.revokedMs === null ? "" : ", and was revoked: a name is given once";
    throw new AccessError("name_taken", `a key ${key.name} is in ${path}${was}; take another name`);
  });
}

/** The key as it stands then; its line stays. Throws as above, and AccessError `unknown_name`. */
export function revokeKey(path: string, name: string, nowMs: number): ApiKey {
  readKeyText(path); // it must be there
  const isNamed = (key: ApiKey) => key.name === name;
  const changed = changeKeys(path, (keys) => {
    if (!keys.some(isNamed)) {
      const message = `no key ${name} is in ${path}: \`keys list\` names them`;
      throw new AccessError("unknown_name", message);
    }
    return keys.map((key) =>
      isNamed(key) ? { ...key, revokedMs: key.revokedMs ?? nowMs } : key,
    );
  });
  return changed.find(isNamed) as ApiKey;
}

const HEADER = `# Keys of the API, written by \`depositaja keys\`: hashes, for no secret is kept.
`;

/** The new file is the lock as well: it is made by one writer, or not at all. */
function changeKeys(
  path: string,
  change: (keys: readonly ApiKey[]) => readonly ApiKey[],
): readonly ApiKey[] {
  const isThere = existsSync(path);
  const real = isThere ? realpathSync(path) : path; // a link stays a link
  const folder = dirname(real);
  if (!existsSync(folder)) {
    const message = `the key file ${path} cannot be written: there is no folder ${folder}`;
    throw new AccessError("file_unavailable", `${message}: make it first`);
  }
  const next = `${real}.new`;
  const file = create(next);
  let isDone = false;
  try {
    const before = isThere ? readKeyText(real) : "";
    const keys = change(parseKeys(before, path));
    const text = withKeys(before === "" ? HEADER : before, keys);
    checkSize(path, Buffer.byteLength(text));
    parseKeys(text, path); // too many of them could be read by nobody
    if (isThere) keepAccess(real, file);
    writeAll(file, text);
    fsyncSync(file);
    renameSync(next, real);
    isDone = true;
    syncFolder(folder);
    return keys;
  } catch (error) {
    if (error instanceof AccessError) throw error;
    throw unavailable(path, "written", error);
  } finally {
    closeSync(file);
    if (!isDone) unlinkSync(next);
  }
}

function checkSize(path: string, bytes: number): void {
  if (bytes <= MAX_FILE_BYTES) return;
  const message = `${path} has ${bytes} bytes: no key file is larger than ${MAX_FILE_BYTES}`;
  throw new AccessError("file_unavailable", message);
}

/** Written by root, it must still be the service's to read. */
function keepAccess(path: string, file: number): void {
  const { mode, uid, gid } = statSync(path);
  const made = fstatSync(file);
  if (made.uid !== uid || made.gid !== gid) fchownSync(file, uid, gid);
  fchmodSync(file, mode & 0o777);
}

function create(path: string): number {
  try {
    return openSync(path, "wx", FILE_MODE);
  } catch (error) {
    if ((error as { code?: string }).code !== "EEXIST") throw unavailable(path, "written", error);
    throw new AccessError(
      "file_busy",
      `${path} is there: another \`keys\` writes it. If none runs, one was killed: remove it`,
      { cause: error },
    );
  }
}

function writeAll(file: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let from = 0; from < bytes.length; ) from += writeSync(file, bytes, from);
}

/** So that a power cut cannot bring a revoked key back. */
function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function unavailable(path: string, what: "read" | "written", error: unknown): AccessError {
  const { code, message } = error as { code?: string; message: string };
  const reason = code === "ENOENT" ? "it is not there" : message;
  return new AccessError("file_unavailable", `the key file ${path} cannot be ${what}: ${reason}`, {
    cause: error,
  });
}
