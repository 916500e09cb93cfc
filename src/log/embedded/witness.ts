/**
 * How far a log was written, said beside it: so that a start notices when its end is gone. Lost
 * with the WAL, cut off where the WAL is damaged, an older copy put in its place, or another log:
 * SQLite opens each of them as if nothing had been there.
 *
 *   commit, synced ──next sequence, incarnation──> <folder>/bell ──at the next start──> log.db
 *
 * It is written before a commit is answered and never synced: after a power cut it may say too
 * little, and never too much. A folder without it is taken as it is.
 */

import { Database } from "bun:sqlite";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { LogError } from "../event-log.ts";
import { logPath } from "./schema.ts";
import { LOCK_WAIT_MS } from "./write-lock.ts";

/** In the bell's file, behind the byte that rings: u64 sequence, 36 characters, their CRC-32. */
const SEQUENCE_AT = 1;
const INCARNATION_AT = 9;
const CHECKSUM_AT = 45;
const WITNESS_BYTES = 49;

export interface Witness {
  /** The log's next sequence, at least. */
  readonly sequence: number;
  readonly incarnation: string;
}

/** The bell's file, whole. */
export function encodeWitness({ sequence, incarnation }: Witness): Uint8Array {
  const bytes = Buffer.alloc(WITNESS_BYTES);
  bytes.writeBigUInt64LE(BigInt(sequence), SEQUENCE_AT);
  bytes.write(incarnation, INCARNATION_AT, CHECKSUM_AT - INCARNATION_AT, "latin1");
  bytes.writeUInt32LE(crc32(bytes.subarray(SEQUENCE_AT, CHECKSUM_AT)), CHECKSUM_AT);
  return bytes;
}

/** Null where there is none, or what is there was not written whole. */
export function readWitness(folder: string): Witness | null {
  let bytes: Buffer;
  try {
    bytes = readFileSync(join(folder, "bell"));
  } catch {
    return null;
  }
  if (bytes.length < WITNESS_BYTES) return null;
  const checksum = crc32(bytes.subarray(SEQUENCE_AT, CHECKSUM_AT));
  if (bytes.readUInt32LE(CHECKSUM_AT) !== checksum) return null;
  return {
    sequence: Number(bytes.readBigUInt64LE(SEQUENCE_AT)),
    incarnation: bytes.toString("latin1", INCARNATION_AT, CHECKSUM_AT),
  };
}

/**
 * Throws LogError `corrupt` where the log is not the one that the witness saw, or lacks its end.
 * It looks through a connection that can only read: one that may write would move what is left of
 * a damaged WAL into the file when it is closed.
 */
export function checkWitness(folder: string): void {
  if (folder === ":memory:") return;
  const path = logPath(folder);
  const witness = readWitness(folder); // first: the log is never behind it
  if (!existsSync(path)) {
    if (witness !== null) throw lacking(`${path} is missing, and a log was there`);
    return;
  }
  if (witness === null) return;
  const hadWal = (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0;
  let database: Database | null = null;
  try {
    database = new Database(path, { readonly: true });
    database.exec(`PRAGMA busy_timeout = ${LOCK_WAIT_MS}`);
    compare(database, path, { ...witness, hadWal });
  } catch (error) {
    if (error instanceof LogError) throw error;
    // Whatever else it is, the one who opens it says it.
  } finally {
    database?.close();
  }
}

function compare(
  database: Database,
  path: string,
  witness: Witness & { readonly hadWal: boolean },
): void {
  const log = database
    .query("SELECT value AS incarnation, next FROM meta, sequence WHERE key = 'incarnation'")
    .get() as { readonly incarnation: string; readonly next: number } | null;
  if (log === null) return;
  if (log.incarnation !== witness.incarnation) {
    throw lacking(`${path} is another log than the one that was there`);
  }
  if (log.next >= witness.sequence) return;
  const lost = witness.sequence - log.next;
  const walName = `${path}-wal`;
  const wal = witness.hadWal ? `${walName} is damaged or cut off` : `${walName} is lost`;
  throw lacking(
    `${path} lacks the last ${lost} of ${witness.sequence} records that were written to it: ` +
      `${wal}, or the file is an older copy`,
  );
}

function lacking(fact: string): LogError {
  return new LogError(
    "corrupt",
    `${fact}. Nothing was changed. Put log.db and log.db-wal back as they were, or make a new ` +
      "folder of a backup with `restore`",
  );
}
