/**
 * What SQLite's refusals mean for a store: either the file is no good, and is built anew from the
 * log, or its place is not usable for the moment, and the owner tries it again.
 */

import { SQLiteError } from "bun:sqlite";
import type { Codec } from "./codec.ts";
import { StreamError } from "./stream-error.ts";

/** The file itself may be well: locked, no space, no right, a disk that fails. */
const PASSING = /^SQLITE_(BUSY|LOCKED|FULL|IOERR|CANTOPEN|READONLY|PERM|AUTH|NOMEM|INTERRUPT)/;

/** The error to throw for one that came up while the store was used; others pass unchanged. */
export function storeFault(path: string, error: unknown): unknown {
  if (!(error instanceof SQLiteError)) return error;
  const { code, message } = error;
  if (code !== undefined && PASSING.test(code)) {
    return new StreamError(
      "store_unavailable",
      `the store ${path} cannot be used now (${message}): look at the disk's space and rights, ` +
        "and at who has the file open",
      { cause: error },
    );
  }
  return storeMismatch(path, `cannot be read (${message})`, error);
}

export function storeMismatch(path: string, reason: string, cause?: unknown): StreamError {
  const message = `the store ${path} ${reason}: delete it, and it is built anew`;
  return new StreamError("store_mismatch", message, { cause });
}

/** What a row holds. Throws `store_mismatch` for bytes that its codec has not written. */
export function decodeRow<R>(path: string, codec: Pick<Codec<R>, "decode">, bytes: Uint8Array): R {
  try {
    return codec.decode(bytes);
  } catch (error) {
    throw storeMismatch(path, `has a row that cannot be read (${(error as Error).message})`, error);
  }
}

/** Of the store's place or file, whatever record was in hand. */
export function isStoreFault(error: unknown): boolean {
  if (!(error instanceof StreamError)) return false;
  return ["store_mismatch", "store_ahead", "store_unavailable"].includes(error.code);
}

/** The file is of no use to anyone, and its rows are in the log. */
export function isUselessStore(error: unknown): error is StreamError {
  return error instanceof StreamError && error.code === "store_mismatch";
}
