/**
 * Runs a program of bench/ as its script does, to its end.
 */

import { expect } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const BENCH = join(import.meta.dir, "..", "..", "bench");

export interface Ended {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs all benchmarks in little; their table must have these rows. How many it has. */
export async function expectTable(
  rows: readonly RegExp[],
  ...args: readonly string[]
): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "depositaja-bench-test-"));
  try {
    const out = join(folder, "results.json");
    const quick = ["--quick", "--out", out];
    const { exitCode, stdout, stderr } = await runBench("main.ts", ...args, ...quick);
    expect(exitCode, stderr).toBe(0);
    const lines = stdout.split("\n").filter((line) => line.startsWith("| "));
    for (const row of rows) expect(lines.some((line) => row.test(line)), String(row)).toBe(true);
    const { figures } = (await Bun.file(out).json()) as { figures: { samples: number[] }[] };
    expect(figures.length).toBe(lines.length - 1); // the heading
    for (const { samples } of figures) expect(samples.every((each) => each >= 0)).toBe(true);
    return figures.length;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export function runBench(name: string, ...args: readonly string[]): Promise<Ended> {
  return runBenchIn({}, name, ...args);
}

export async function runBenchIn(
  environment: Readonly<Record<string, string>>,
  name: string,
  ...args: readonly string[]
): Promise<Ended> {
  const child = Bun.spawn([process.execPath, join(BENCH, name), ...args], {
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { exitCode, stdout, stderr };
}
