/**
 * POSIX locks on files, as the kernel lists them: who holds which byte (proc(5), /proc/locks).
 * Processes of other pid namespaces are not listed; asking opens no file.
 */

import { readFileSync, statSync } from "node:fs";

export interface HeldLock {
  readonly isWrite: boolean;
  readonly pid: number;
  readonly first: number;
  readonly last: number;
}

/** Those on this file. Null where the system does not tell. */
export function heldLocks(path: string): readonly HeldLock[] | null {
  let lines: string[];
  let inode: bigint;
  try {
    lines = readFileSync("/proc/locks", "latin1").split("\n");
    inode = statSync(path, { bigint: true }).ino;
  } catch {
    return null;
  }
  return lines.flatMap((line) => {
    // "12: POSIX  ADVISORY  WRITE 4321 fe:00:131090 120 120"
    const [, , , kind, pid, file, first, last] = line.trim().split(/\s+/);
    if (file?.split(":")[2] !== String(inode)) return [];
    const end = last === "EOF" ? Number.POSITIVE_INFINITY : Number(last);
    return [{ isWrite: kind === "WRITE", pid: Number(pid), first: Number(first), last: end }];
  });
}

export function covers({ first, last }: HeldLock, byte: number): boolean {
  return first <= byte && byte <= last;
}
