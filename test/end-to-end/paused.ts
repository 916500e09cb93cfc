/**
 * Something done while programs stand still, each thread of them outside of the kernel.
 *
 *   pids ──SIGSTOP──> all threads stopped ──run──> SIGCONT
 */

import { readdirSync, readFileSync } from "node:fs";

/** A thread inside a system call stops at its end: an fsync may take a while. */
const STOPS_WITHIN_MS = 10_000;
const POLL_MS = 1;

export async function whilePaused<T>(pids: readonly number[], run: () => T): Promise<T> {
  const endMs = performance.now() + STOPS_WITHIN_MS;
  for (const pid of pids) process.kill(pid, "SIGSTOP");
  try {
    while (!pids.every(standsStill)) {
      if (performance.now() > endMs) throw new Error(`not all of ${pids.join(", ")} stop`);
      await Bun.sleep(POLL_MS);
    }
    return run();
  } finally {
    for (const pid of pids) process.kill(pid, "SIGCONT");
  }
}

/** As Linux tells it; T is "stopped". */
function standsStill(pid: number): boolean {
  return readdirSync(`/proc/${pid}/task`).every((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).startsWith("T");
  });
}
