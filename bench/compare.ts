/**
 * What has changed from one run to another, beyond what two runs of the same program differ by.
 *
 *   old figures, new figures ──row by row──> better, worse, or within noise
 *
 * A change counts when all samples of one run are on one side of all of the other's, with five or
 * more on both sides: of two runs of the same program one in 126 does that in a row by chance
 * (Mann and Whitney's U of 0, both sides). A machine that is busier in one of the runs is no
 * chance: compare runs of the same hour, and rather ratios than rates.
 */

import { type Figure, median } from "./measurement.ts";
import type { Row } from "./results.ts";

/** On both sides. */
export const LEAST_SAMPLES = 5;

export type Change = "better" | "worse" | "more" | "less" | "noise" | "too few runs" | "new";

export function changeOf(old: Figure | undefined, now: Figure): Change {
  if (old === undefined) return "new";
  const [before, after] = [old.samples, now.samples];
  if (Math.min(before.length, after.length) < LEAST_SAMPLES) return "too few runs";
  const isMore = Math.min(...after) > Math.max(...before);
  const isLess = Math.max(...after) < Math.min(...before);
  if (!isMore && !isLess) return "noise";
  if (now.target === null) return isMore ? "more" : "less";
  return (now.target.is === "at least") === isMore ? "better" : "worse";
}

/** A row for each figure of the new run, and one for each that it lacks. */
export function comparisonTable(old: readonly Row[], now: readonly Row[]): string {
  const key = ({ benchmark, what }: Row) => `${benchmark}/${what}`;
  const before = new Map(old.map((figure) => [key(figure), figure]));
  const rows = now.map((figure) => {
    const was = before.get(key(figure));
    const then = was === undefined ? "" : text(median(was.samples));
    const is = text(median(figure.samples));
    const percent = was === undefined ? "" : ratio(median(was.samples), median(figure.samples));
    const change = changeOf(was, figure);
    return `| ${figure.what} | ${then} | ${is} ${figure.unit} | ${percent} | ${change} |`;
  });
  const known = new Set(now.map(key));
  const gone = old.filter((figure) => !known.has(key(figure)));
  return [
    "| What | Before | Now | Change | Beyond noise |",
    "|---|---|---|---|---|",
    ...rows,
    ...gone.map(({ what, samples }) => `| ${what} | ${text(median(samples))} | | | not measured |`),
  ].join("\n");
}

function ratio(before: number, after: number): string {
  const percent = (after / before - 1) * 100;
  return `${percent < 0 ? "−" : "+"}${Math.abs(percent).toFixed(1)} %`;
}

function text(value: number): string {
  return value.toLocaleString("en-US", { maximumSignificantDigits: 4 });
}
