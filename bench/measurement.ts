/**
 * What a benchmark measures: samples of one figure, one for each run, and what is to be reached.
 *
 *   samples ──median, min..max──> figure ──target──> reached or not
 */

export interface Target {
  readonly is: "at least" | "at most";
  readonly value: number;
}

export interface Figure {
  /** The table's row. */
  readonly what: string;
  readonly unit: Unit;
  /** One for each run. */
  readonly samples: readonly number[];
  /** Null: the figure is only stated. */
  readonly target: Target | null;
  /** What the ratio is of, or what else belongs to the figure; may be empty. */
  readonly remark: string;
}

export type Unit = "×" | "/s" | "s" | "ms" | "µs" | "% of a core" | "MB" | "bytes" | "records";

export interface BenchmarkOptions {
  readonly runs: number;
  /** Tiny amounts: shows that it runs, measures nothing. */
  readonly isQuick: boolean;
  /** Tells how far it is. */
  readonly say: (text: string) => void;
}

export interface Benchmark {
  /** For `--only`. */
  readonly name: string;
  run(options: BenchmarkOptions): Promise<readonly Figure[]>;
}

export function atLeast(value: number): Target {
  return { is: "at least", value };
}

export function atMost(value: number): Target {
  return { is: "at most", value };
}

export function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

/** Null when there is nothing to reach. */
export function isReached({ samples, target }: Figure): boolean | null {
  if (target === null) return null;
  const value = median(samples);
  return target.is === "at least" ? value >= target.value : value <= target.value;
}

/** Milliseconds that it took, by the monotonic clock. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}
