/**
 * Runs one of the project's tools and keeps what it says.
 *
 *   arguments ──child process──> exit code, output
 */

import { PROJECT_ROOT } from "./source-files.ts";

export interface CommandResult {
  readonly exitCode: number;
  /** Standard output. */
  readonly output: string;
  /** Standard output, then standard error: what to show when it failed. */
  readonly everything: string;
}

/** In the project's root, with no standard input. Throws when there is no such program. */
export async function runCommand(command: readonly string[]): Promise<CommandResult> {
  const child = Bun.spawn([...command], {
    cwd: PROJECT_ROOT,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [exitCode, output, complaints] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { exitCode, output, everything: `${output}${complaints}`.trimEnd() };
}

/** A package's program, run by Bun itself: a machine may have no Node. */
export function packageProgram(path: string, ...rest: readonly string[]): string[] {
  return [process.execPath, `node_modules/${path}`, ...rest];
}

/** buf, whose plugins are programs for Node: `--bun` puts Bun in Node's place for them too. */
export function buf(...rest: readonly string[]): string[] {
  return [process.execPath, "run", "--bun", "buf", ...rest];
}
