/**
 * Whether another process of this host lives. A pid alone may be given out again, so the start
 * time goes with it; pids of another boot or pid namespace say nothing here.
 */

import { readFileSync, readlinkSync } from "node:fs";

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks after boot, as text; empty where the system does not tell. */
  readonly started: string;
  /** Boot and pid namespace: pids compare only within one. */
  readonly host: string;
}

export function thisProcess(): ProcessIdentity {
  return { pid: process.pid, started: startTime(process.pid) ?? "", host: hostIdentity() };
}

/** True only when it is certain: same host, and the pid is gone or another process has it. */
export function isDead(other: ProcessIdentity): boolean {
  if (other.host !== hostIdentity()) return false;
  if (other.started !== "") {
    const started = startTime(other.pid);
    return started !== undefined && started !== other.started;
  }
  try {
    process.kill(other.pid, 0);
    return false;
  } catch (error) {
    return (error as { code?: string }).code === "ESRCH";
  }
}

/**
 * Field 22 of /proc/<pid>/stat (proc(5)); null for no such process, a zombie, or no /proc, and
 * undefined where that cannot be told: without a descriptor left nothing can be looked at.
 */
function startTime(pid: number): string | null | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The command stands in parentheses and may hold anything, so count from the last one.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const isZombie = fields[0] === "Z" || fields[0] === "X";
    return isZombie ? null : (fields[19] ?? null);
  } catch (error) {
    const { code = "" } = error as { code?: string };
    // Gone, the second one while it was read; or not Linux: `started` is empty, kill(0) decides.
    return ["ENOENT", "ESRCH"].includes(code) ? null : undefined;
  }
}

let cachedHost: string | null = null;

function hostIdentity(): string {
  if (cachedHost === null) {
    try {
      const boot = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
      cachedHost = `${boot} ${readlinkSync("/proc/self/ns/pid")}`;
    } catch {
      cachedHost = "local"; // not Linux: one host, one pid namespace
    }
  }
  return cachedHost;
}
