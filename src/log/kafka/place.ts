/**
 * A folder that one process has for itself: its stores, and its ids in the cluster's groups.
 *
 *   data folder ──cluster, prefix──> first of 0, 1, 2, ... that is free
 *                                    and was nobody's or of its purpose ──locked──> place
 *
 * Several processes run from one data folder, each in a place of its own; one that starts again
 * takes the first free place, and finds there what was left. A place keeps its purpose, so that a
 * short command never costs a process that starts again what it had.
 */

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { getLogger } from "@logtape/logtape";
import { LogError } from "../event-log.ts";
import { type FileLock, tryLock } from "../file-lock.ts";
import { refuseNetworkFolder } from "../network-file-system.ts";
import type { MemberIds } from "./kafka-log.ts";

export interface PlaceOptions {
  /** The data folder; made where there is none. */
  readonly folder: string;
  /** The cluster's own id, as KafkaLog has it. */
  readonly clusterId: string;
  /** Empty: none. */
  readonly prefix: string;
  /** What the process does; places are found again by processes of the same purpose alone. */
  readonly purpose: string;
}

export interface Place extends MemberIds {
  /** Exists, and is nobody else's until the release. */
  readonly folder: string;
  /** After everything in the folder is closed. Idempotent. */
  release(): void;
}

/** More processes than one machine runs: a mistake in the lock must not fill a disk. */
const MAX_PLACES = 1_000;
/** No prefix is so named: each has a letter or digit. */
const WITHOUT_PREFIX = "_";
const LOCK_FILE = "lock.db";
const MEMBERS_FILE = "members.json";
const PURPOSE_FILE = "purpose";
const logger = getLogger(["log", "kafka"]);

/** Throws LogError `unusable_place` when the folder cannot be written. */
export function takePlace({ folder, clusterId, prefix, purpose }: PlaceOptions): Place {
  const places = join(folder, "kafka", folderName(clusterId), prefix || WITHOUT_PREFIX);
  for (let number = 0; number < MAX_PLACES; number += 1) {
    const place = join(places, String(number));
    try {
      mkdirSync(place, { recursive: true });
      refuseNetworkFolder(place);
      const lock = lockFor(purpose, place);
      if (lock !== null) return new LockedPlace(place, lock);
    } catch (error) {
      if (error instanceof LogError) throw error;
      throw new LogError(
        "unusable_place",
        `${place} cannot be used: ${(error as Error).message}; choose a folder that can be ` +
          "written, on a local disk",
        { cause: error },
      );
    }
  }
  throw new LogError(
    "unusable_place",
    `all ${MAX_PLACES} folders in ${places} are in use: choose another data folder`,
  );
}

/** Null when it is another's, or was one for another purpose. */
function lockFor(purpose: string, place: string): FileLock | null {
  const path = join(place, PURPOSE_FILE);
  // Without its lock: whoever it belongs to may be starting again just now, and must get it.
  if ((readText(path) ?? purpose) !== purpose) return null;
  const lock = tryLock(join(place, LOCK_FILE));
  if (lock === null) return null;
  const found = readText(path); // once more: two may have met here
  if (found === purpose) return lock;
  if (found === null) {
    replaceFile(path, purpose);
    return lock;
  }
  lock.release();
  return null;
}

/** Null where there is nothing, or nothing that was written whole. */
function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8") || null;
  } catch {
    return null;
  }
}

/** At once: a reader finds the old or the new. */
function replaceFile(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

class LockedPlace implements Place {
  /** What an earlier process left, until it is asked for. */
  private readonly left: Map<string, string>;
  private readonly current: Map<string, string>;
  private isReleased = false;

  constructor(
    readonly folder: string,
    private readonly lock: FileLock,
  ) {
    this.left = readMembers(join(folder, MEMBERS_FILE));
    this.current = new Map(this.left);
  }

  former(group: string): string | null {
    const id = this.left.get(group) ?? null;
    this.left.delete(group); // a later join must not end the membership of an earlier one
    return id;
  }

  remember(group: string, id: string | null): void {
    if (this.isReleased || this.current.get(group) === (id ?? undefined)) return;
    if (id === null) this.current.delete(group);
    else this.current.set(group, id);
    try {
      const text = JSON.stringify(Object.fromEntries(this.current));
      replaceFile(join(this.folder, MEMBERS_FILE), text);
    } catch (error) {
      // No more is lost than time: after a kill the group waits for a session to end.
      logger.debug("{group}: the member's id is not kept: {error}", { group, error });
    }
  }

  release(): void {
    if (this.isReleased) return;
    this.isReleased = true;
    this.lock.release();
  }
}

/** A file that a power cut has left half written tells nothing, and nothing depends on it. */
function readMembers(path: string): Map<string, string> {
  try {
    const entries = Object.entries(JSON.parse(readFileSync(path, "utf8")) as object);
    return new Map(entries.filter((entry): entry is [string, string] => isId(entry[1])));
  } catch {
    return new Map();
  }
}

function isId(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

/** Clusters have ids of 22 characters; whatever else one calls itself is no path. */
function folderName(clusterId: string): string {
  if (/^[A-Za-z0-9_-]{1,64}$/.test(clusterId)) return clusterId;
  return `id-${createHash("sha256").update(clusterId).digest("hex").slice(0, 32)}`;
}
