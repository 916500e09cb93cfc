/**
 * A disk of a few megabytes, for tests of a full or read-only one: a tmpfs, which root may mount.
 *
 *   mount ──> path ──fill──> full ──empty──> as before ──dispose──> unmounted
 */

import {
  closeSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "./program.ts";

/** Written in ever smaller pieces, the last byte is taken as well. */
const PIECE_BYTES = [65_536, 4_096, 1];

export class SmallDisk implements Disposable {
  readonly path: string;
  private readonly ballast: string;

  /** Throws where this process may not mount. */
  constructor(
    private readonly folder: ReturnType<typeof temporaryFolder>,
    megabytes: number,
  ) {
    this.path = join(folder.path, "disk");
    this.ballast = join(this.path, "ballast");
    mkdirSync(this.path);
    mount("-t", "tmpfs", "-o", `size=${megabytes}m`, "small-disk", this.path);
  }

  fill(): void {
    fillFile(this.ballast);
  }

  /** So many bytes of what was filled, in whole pages. */
  leave(bytes: number): void {
    truncateSync(this.ballast, statSync(this.ballast).size - bytes);
  }

  empty(): void {
    rmSync(this.ballast);
  }

  /** More room, as on a volume that is extended. */
  grow(megabytes: number): void {
    mount("-o", `remount,size=${megabytes}m`, this.path);
  }

  makeReadOnly(): void {
    mount("-o", "remount,ro", this.path);
  }

  [Symbol.dispose](): void {
    Bun.spawnSync(["umount", "--lazy", this.path]);
    this.folder[Symbol.dispose]();
  }
}

/** Null where a disk can be mounted, else why not. */
export function whyUnmountable(): string | null {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "only root may mount";
  try {
    using _disk = new SmallDisk(temporaryFolder(), 1);
    return null;
  } catch {
    return "nothing may be mounted here";
  }
}

/** Takes all the room that there is. */
export function fillFile(path: string): void {
  const file = openSync(path, "w");
  for (const bytes of PIECE_BYTES) {
    try {
      for (;;) writeSync(file, new Uint8Array(bytes));
    } catch (error) {
      if ((error as { code?: string }).code !== "ENOSPC") throw error;
    }
  }
  closeSync(file);
}

function mount(...args: string[]): void {
  const { success, stderr } = Bun.spawnSync(["mount", ...args], { stderr: "pipe" });
  if (!success) throw new Error(`mount ${args.join(" ")}: ${stderr.toString()}`);
}
