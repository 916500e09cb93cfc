/**
 * The machine, so that a figure can be read: what it is, what a process takes of it, and folders
 * on its real disk.
 */

import { existsSync, mkdtempSync, readFileSync, rmSync, statfsSync } from "node:fs";
import { availableParallelism, cpus, release, tmpdir, totalmem } from "node:os";
import { join } from "node:path";

export interface Machine {
  readonly cores: number;
  readonly processor: string;
  readonly memoryGib: number;
  readonly kernel: string;
  readonly bun: string;
}

/** Linux's numbers of file systems that live in memory: an fsync there costs nothing. */
const MEMORY_FILE_SYSTEMS = new Set([0x01021994, 0x858458f6]);

/** Linux counts a process's time in hundredths of a second, whatever the kernel's own tick. */
const MS_PER_TICK = 10;

export function thisMachine(): Machine {
  return {
    cores: availableParallelism(),
    processor: cpus()[0]?.model.trim() ?? "unknown",
    memoryGib: Math.round(totalmem() / 1024 ** 3),
    kernel: release(),
    bun: Bun.version,
  };
}

/** What a process has used of a core since it was started. */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
}

/** What a process takes now, or took at most; NaN when it is gone. */
export function memoryMb(pid: number, field: "VmRSS" | "VmHWM"): number {
  const file = `/proc/${pid}/status`;
  const status = existsSync(file) ? readFileSync(file, "utf8") : "";
  const [, kib] = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status) ?? [];
  return Math.round(Number(kib) / 1_024);
}

const folders = new Set<string>();
process.on("exit", () => folders.forEach(remove));

/** Runs with a new folder on a disk, which is gone afterwards, also when the process is stopped. */
export async function withFolder<T>(run: (folder: string) => Promise<T>): Promise<T> {
  const folder = newFolder();
  try {
    return await run(folder);
  } finally {
    remove(folder);
    folders.delete(folder);
  }
}

/** A new folder on a disk, which is gone with this process. */
export function newFolder(): string {
  const folder = mkdtempSync(join(diskFolder(), "depositaja-bench-"));
  folders.add(folder);
  return folder;
}

function remove(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}

function diskFolder(): string {
  const places = [tmpdir(), "/var/tmp", process.cwd()];
  const found = places.find(
    (place) =>
      existsSync(place) && !MEMORY_FILE_SYSTEMS.has(Number(statfsSync(place).type) >>> 0),
  );
  if (found === undefined) throw new Error("no folder on a disk: set TMPDIR to one");
  return found;
}
