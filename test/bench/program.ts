/**
 * Runs a program of bench/ as its script does, to its end.
 */

import { join } from "node:path";

const BENCH = join(import.meta.dir, "..", "..", "bench");

export interface Ended {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export async function runBench(name: string, ...args: readonly string[]): Promise<Ended> {
  const child = Bun.spawn([process.execPath, join(BENCH, name), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { exitCode, stdout, stderr };
}
