/**
 * The published rule over one wallet: which of its deposits lay in a window over the limit when
 * they arrived, and what is said of each.
 *
 *   counted deposits in log order ──window sums──> events, episodes, where it stands
 */

import { MAX_LISTED } from "./published-rule.ts";
import type { Entry } from "./row-formats.ts";
import type { Rule } from "./rule-versions.ts";
import { placeOf, WindowSums } from "./window-sums.ts";

export interface Window {
  readonly startMs: number;
  readonly endMs: number;
}

export interface ExpectedEvent {
  /** The deposit that arrived. */
  readonly entry: Entry;
  /** In force where it stands. */
  readonly rule: Rule;
  readonly window: Window;
  readonly totalMinor: bigint;
  readonly isLate: boolean;
  readonly episode: number;
  /** Of the event that opens its episode: the window's deposits, the newest, and how many. */
  readonly opening: { readonly deposits: readonly Entry[]; readonly count: number } | null;
}

export interface Fold {
  readonly events: readonly ExpectedEvent[];
  /** By time, then ordinal. */
  readonly ordered: readonly Entry[];
}

/** The rule along the log. */
export interface Rules {
  at(offset: bigint): Rule;
  readonly lowestLimitMinor: bigint;
}

/** `entries` in log order: ordinals from 1 on. */
export function foldWindows(entries: readonly Entry[], rules: Rules): Fold {
  const ordered = entries.toSorted((a, b) => a.timeMs - b.timeMs || a.ordinal - b.ordinal);
  const total = entries.reduce((sum, { amountMinor }) => sum + amountMinor, 0n);
  // All of them together are no more than the limit, and so is every window.
  if (total <= rules.lowestLimitMinor) return { events: [], ordered };
  const timesMs = ordered.map(({ timeMs }) => timeMs);
  const sumsOf = (windowMs: number) => new WindowSums([...new Set(timesMs)], windowMs);
  let sums: WindowSums | null = null;
  const events: ExpectedEvent[] = [];
  let newestMs = Number.NEGATIVE_INFINITY;
  let last: ExpectedEvent | null = null;
  for (const [index, entry] of entries.entries()) {
    const rule = rules.at(entry.offset);
    const { windowMs, limitMinor } = rule;
    if (sums?.windowMs !== windowMs) {
      sums = sumsOf(windowMs);
      for (const { timeMs, amountMinor } of entries.slice(0, index)) sums.add(timeMs, amountMinor);
    }
    sums.add(entry.timeMs, entry.amountMinor);
    const isLate = entry.timeMs < newestMs;
    newestMs = Math.max(newestMs, entry.timeMs);
    const above = sums.firstAbove(entry.timeMs, limitMinor);
    if (above === null) continue;
    const window = { startMs: above.endMs - windowMs, endMs: above.endMs };
    const goesOn: boolean = last !== null && overlap(last.window, window);
    const before: number = last?.episode ?? 0;
    last = {
      entry,
      rule,
      window,
      totalMinor: above.totalMinor,
      isLate,
      episode: goesOn ? before : before + 1,
      opening: goesOn ? null : openingOf({ ordered, timesMs }, window, entry.ordinal),
    };
    events.push(last);
  }
  return { events, ordered };
}

/** Starts are exclusive: windows that only touch share no time. */
function overlap(a: Window, b: Window): boolean {
  return a.startMs < b.endMs && b.startMs < a.endMs;
}

/** What had arrived by then, in the window. */
function openingOf(
  { ordered, timesMs }: { readonly ordered: readonly Entry[]; readonly timesMs: readonly number[] },
  window: Window,
  ordinal: number,
) {
  const from = placeOf(timesMs, window.startMs + 1);
  const to = placeOf(timesMs, window.endMs + 1);
  const inside = ordered.slice(from, to).filter((entry) => entry.ordinal <= ordinal);
  return { deposits: inside.slice(-MAX_LISTED), count: inside.length };
}
