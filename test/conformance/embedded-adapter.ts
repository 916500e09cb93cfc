/**
 * The embedded log as the conformance suite wants it, on disk and in memory. What is done here
 * behind the port's back (another owner, a lost answer, a flipped bit) is what other processes,
 * disks and power cuts do to a log; a child process imports this module to open the same folder.
 */

import { Database } from "bun:sqlite";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Claim, EventLog } from "../../src/log/event-log.ts";
import { openEmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import { logPath } from "../../src/log/embedded/schema.ts";
import type { Features, LogUnderTest, OpenOptions } from "./log-under-test.ts";

const MEMORY = ":memory:";
/** Both are transactions of the one writer. */
const STEPS = ["transaction begun", "records written", "before commit"];
const folders: string[] = [];

/** A folder of its own, without a log. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "embedded-log-"));
  folders.push(folder);
  return join(folder, "data");
}

export function removeFolders(): void {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

async function open(place: string, options: OpenOptions = {}): Promise<EventLog> {
  return openEmbeddedLog({ folder: place, create: true, nowMs: Date.now, ...options });
}

const features: Omit<Features, "childModule" | "damage"> = {
  changelogModes: [false, true],
  deadOwnerWithinMs: 2_000, // well below the time after which a silent owner counts as hung
  keepsHangingOwner: true,
  hasOwnClock: true,
  sharesStores: true,
  stepsBeforeWritten: { append: STEPS, commit: STEPS },
  usurp: (log, place, claim) => {
    const own = insideOf(log).database;
    if (place === MEMORY) return !own.inTransaction && raiseEpoch(own, claim);
    const other = new Database(logPath(place));
    try {
      return raiseEpoch(other, claim);
    } finally {
      other.close();
    }
  },
  loseNextAnswer: (log, isWritten) => {
    const { writer } = insideOf(log);
    const commit = writer.commit;
    writer.commit = {
      run: () => {
        writer.commit = commit;
        if (isWritten) commit.run();
        throw Object.assign(new Error("disk I/O error"), { code: "SQLITE_IOERR_FSYNC" });
      },
      finalize: () => commit.finalize(),
    };
  },
  clean: (log) => insideOf(log).clean(),
};

/** On disk. */
export const logUnderTest: LogUnderTest = {
  name: "embedded, on disk",
  newPlace: newFolder,
  open,
  features: {
    ...features,
    childModule: import.meta.path,
    damage: (place, bytes) => {
      const path = logPath(place);
      const content = readFileSync(path);
      const at = content.indexOf(bytes);
      if (at < 0) throw new Error(`${path} does not hold the bytes to damage`);
      content[at] = (content[at] as number) ^ 1;
      writeFileSync(path, content);
    },
  },
};

export const logInMemory: LogUnderTest = {
  name: "embedded, in memory",
  newPlace: () => MEMORY,
  open,
  features: { ...features, childModule: null, damage: null },
};

/** Writes that wait, for the lock or for their turn. */
export function waitingWrites(log: EventLog): number {
  return insideOf(log).writer.queue.length;
}

interface Inside {
  readonly database: Database;
  readonly writer: {
    commit: { run(): unknown; finalize(): void };
    readonly queue: readonly unknown[];
  };
  clean(): Promise<number>;
}

function insideOf(log: EventLog): Inside {
  return (log as unknown as { readonly file: Inside }).file;
}

/** As another member's takeover does it. False when the write lock is held. */
function raiseEpoch(database: Database, { group, partition }: Claim): boolean {
  try {
    database
      .query(
        "UPDATE claims SET epoch = epoch + 1, member = 'usurper' " +
          "WHERE group_name = ? AND partition = ?",
      )
      .run(group, partition);
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === "SQLITE_BUSY") return false;
    throw error;
  }
}
