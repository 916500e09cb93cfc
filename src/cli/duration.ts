/** Lengths of time as people type them: "90s", "5m", "1h", "1d". */

import { UsageError } from "./usage-error.ts";

const UNITS = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;

/** Milliseconds. Throws UsageError, which says what is wanted. */
export function durationMs(option: string, text: string): number {
  const [, digits = "", unit = ""] = /^(\d{1,12})(ms|s|m|h|d)$/.exec(text) ?? [];
  const value = Number(digits) * (UNITS[unit as keyof typeof UNITS] ?? Number.NaN);
  if (Number.isSafeInteger(value)) return value;
  const wanted = "a length of time, such as 90s, 5m or 1h";
  throw new UsageError(`${option} is "${text}": it must be ${wanted}`);
}

/** In the largest unit of which it is a whole number. */
export function durationText(ms: number): string {
  for (const [unit, unitMs] of Object.entries(UNITS)) {
    if (ms % unitMs === 0) return `${ms / unitMs}${unit}`;
  }
  return `${ms}ms`;
}
