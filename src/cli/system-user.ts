/** Who works at this machine, for the records of what an operator did. */

import { spawnSync } from "node:child_process";

/**
 * As the system has it. Bun's `userInfo` takes the name from USER, which anyone can set and which
 * is unset in containers and under cron: the record of who did something must not say "unknown".
 */
export function systemUser(): string {
  const { status, stdout } = spawnSync("id", ["-un"], { encoding: "utf8" });
  // A container may run as a user that has no name.
  return (status === 0 && stdout.trim()) || `uid ${process.getuid?.()}`;
}
