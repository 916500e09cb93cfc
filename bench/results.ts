/**
 * Results of benchmarks as a file: of one run, or the ones that the README shows.
 *
 *   figures ──> bench/results/<time>.json      --readme: figures ──row by row──> docs/bench/*.json
 */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Machine } from "./machine.ts";
import { type Figure, isReached, median } from "./measurement.ts";

/** A figure, and the benchmark that it is of. */
export interface Row extends Figure {
  readonly benchmark: string;
}

export interface Results {
  readonly machine: Machine;
  readonly figures: readonly Row[];
}

/** Throws an Error that says what is wrong with the file. */
export function readResults(file: string): Results {
  if (!existsSync(file)) throw new Error(`${file} is not there: name one that a run has written`);
  const { machine, figures } = parsed(file);
  if (machine !== undefined && Array.isArray(figures)) return { machine, figures };
  throw new Error(`${file} holds no results of a run`);
}

export function writeResults(file: string, { machine, figures }: Results): void {
  const rows = figures.map((figure) => ({
    ...figure,
    median: median(figure.samples),
    isReached: isReached(figure),
  }));
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify({ machine, figures: rows }, null, 2)}\n`);
}

/** What was measured anew in the place of what stood there, in the order of `names`. */
export function merged(
  old: readonly Row[],
  now: readonly Row[],
  names: readonly string[],
): readonly Row[] {
  const newNames = new Set(now.map(({ benchmark }) => benchmark));
  const all = [...old.filter(({ benchmark }) => !newNames.has(benchmark)), ...now];
  return names.flatMap((name) => all.filter(({ benchmark }) => benchmark === name));
}

function parsed(file: string): Partial<Results> {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Partial<Results>;
  } catch (error) {
    throw new Error(`${file} is no JSON`, { cause: error });
  }
}
