/**
 * Figures as the README's table.
 *
 *   figures ──> markdown
 */

import type { Machine } from "./machine.ts";
import { type Figure, isReached, median, type Unit } from "./measurement.ts";

export function markdownTable(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => {
    const { what, unit, samples, target, remark } = figure;
    const sign = target?.is === "at least" ? "≥" : "≤";
    const wanted = target === null ? "stated" : `${sign} ${shown(target.value, unit)}`;
    const spread = `${plain(Math.min(...samples), unit)} .. ${plain(Math.max(...samples), unit)}`;
    const found = `${shown(median(samples), unit)} (${spread})`;
    return `| ${what} | ${found} | ${wanted} | ${verdict(figure)} | ${remark} |`;
  });
  return [
    "| What | Median (spread) | Wanted | Reached | Of what |",
    "|---|---|---|---|---|",
    ...rows,
  ].join("\n");
}

function verdict(figure: Figure): string {
  const reached = isReached(figure);
  if (reached === null) return "";
  return reached ? "yes" : "no";
}

function shown(value: number, unit: Unit): string {
  return unit === "/s" ? `${plain(value, unit)}/s` : `${plain(value, unit)} ${unit}`;
}

function plain(value: number, unit: Unit): string {
  const digits = unit === "×" ? 2 : value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toLocaleString("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/** `beside`: what else runs on the machine; may be empty. */
export function machineLine({ cores, processor, kernel, bun }: Machine, beside: string): string {
  return `${cores} cores of ${processor}, Linux ${kernel}, Bun ${bun}${beside}:`;
}
