import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Entry } from "../../../src/proof/verify/row-formats.ts";
import { RuleVersions } from "../../../src/proof/verify/rule-versions.ts";
import { foldWindows } from "../../../src/proof/verify/window-fold.ts";
import { oracleVerdicts } from "../../detector/oracle.ts";

/** Worked by hand from docs/semantics.md: 10,000.00 within (T - 120 s, T], in cents and seconds. */

const LIMIT = 1_000_000n;
const WINDOW_MS = 120_000;
const RULES = new RuleVersions(LIMIT);

type Arrival = readonly [seconds: number, cents: bigint];

/** Each event as "ordinal: (start s, end s] total, episode", and what it lists. */
function eventsOf(arrivals: readonly Arrival[]): string[] {
  return foldWindows(arrivals.map(entryOf), RULES).events.map(
    ({ entry, window, totalMinor, isLate, episode, opening }) => {
      const { startMs, endMs } = window;
      const listed = opening?.deposits.map(({ ordinal }) => ordinal).join(" ");
      const span = `(${startMs / 1_000}, ${endMs / 1_000}]`;
      const late = isLate ? " late" : "";
      const list = opening === null ? "" : `: ${listed} of ${opening.count}`;
      return `${entry.ordinal}: ${span} ${totalMinor}${late}, episode ${episode}${list}`;
    },
  );
}

function entryOf([seconds, amountMinor]: Arrival, index: number): Entry {
  const offset = BigInt(index);
  return { timeMs: seconds * 1_000, ordinal: index + 1, amountMinor, offset, id: null };
}

describe("the published rule, worked by hand", () => {
  test("10,000.00 within a window does not flag, 10,000.01 does", () => {
    expect(eventsOf([[1_000, 500_000n], [1_060, 500_000n]])).toEqual([]);
    expect(eventsOf([[1_000, 500_000n], [1_060, 500_001n]])).toEqual([
      "2: (940, 1060] 1000001, episode 1: 1 2 of 2",
    ]);
  });

  test("119.999 s apart share a window, 120 s apart do not", () => {
    expect(eventsOf([[1_000, 600_000n], [1_119.999, 600_000n]])).toHaveLength(1);
    expect(eventsOf([[1_000, 600_000n], [1_120, 600_000n]])).toEqual([]);
  });

  test("the window is anchored nowhere: the deposit after an old one counts from itself", () => {
    const arrivals: Arrival[] = [[1_000, 100n], [1_119, 600_000n], [1_238, 600_000n]];
    expect(eventsOf(arrivals)).toEqual(["3: (1118, 1238] 1200000, episode 1: 2 3 of 2"]);
  });

  test("a late deposit is checked against windows that end after it; the earliest is named", () => {
    const arrivals: Arrival[] = [
      [1_000, 400_000n],
      [1_100, 400_000n],
      [1_110, 900_000n],
      [1_050, 400_000n],
    ];
    expect(eventsOf(arrivals)).toEqual([
      "3: (990, 1110] 1700000, episode 1: 1 2 3 of 3",
      // With the late one (930, 1050] has 8,000.00, and (980, 1100] 12,000.00.
      "4: (980, 1100] 1200000 late, episode 1",
    ]);
  });

  test("events whose windows overlap are one episode; windows that only touch are two", () => {
    const big = 1_000_001n;
    expect(eventsOf([[1_000, big], [1_119, big], [1_239, big]])).toEqual([
      "1: (880, 1000] 1000001, episode 1: 1 of 1",
      "2: (999, 1119] 2000002, episode 1",
      "3: (1119, 1239] 1000001, episode 2: 3 of 1",
    ]);
  });

  test("an opening lists the newest 100 of its window", () => {
    const many: Arrival[] = Array.from({ length: 150 }, (_, i) => [1_000 + i / 10, 1n]);
    const arrivals: Arrival[] = [...many, [1_016, LIMIT]];
    const [event] = foldWindows(arrivals.map(entryOf), RULES).events;
    expect(event?.opening?.count).toBe(151);
    const listed = event?.opening?.deposits.map(({ ordinal }) => ordinal);
    expect(listed).toEqual(Array.from({ length: 100 }, (_, i) => 52 + i));
  });

  test("sums have no limit", () => {
    const most = 2n ** 63n - 1n;
    const [, second] = foldWindows([entryOf([1, most], 0), entryOf([2, most], 1)], RULES).events;
    expect(second?.totalMinor).toBe(2n ** 64n - 2n);
  });
});

test("the fold and the oracle, each written for itself, agree on any order of arrival", () => {
  const time = fc.oneof(
    fc.integer({ min: 0, max: 5 * WINDOW_MS }),
    fc.integer({ min: 0, max: 10 }).map((halves) => (halves * WINDOW_MS) / 2),
  );
  const arrival = fc.record({ timeMs: time, amountMinor: fc.bigInt({ min: 1n, max: 300_000n }) });
  fc.assert(
    fc.property(fc.array(arrival, { minLength: 1, maxLength: 80, size: "max" }), (arrivals) => {
      const entries = arrivals.map((one, index): Entry => {
        return { ...one, ordinal: index + 1, offset: BigInt(index), id: null };
      });
      const { events } = foldWindows(entries, RULES);
      const verdicts = oracleVerdicts(arrivals, { windowMs: WINDOW_MS, limitMinor: LIMIT });
      const found = events.map(({ entry, window, totalMinor, isLate, episode, opening }) => ({
        ordinal: entry.ordinal,
        isLate,
        window,
        totalMinor,
        episode,
        opening: opening?.deposits.map(({ ordinal }) => ordinal) ?? null,
      }));
      const wanted = verdicts.flatMap(({ ordinal, isLate, exceeding, episode, ...rest }) => {
        if (exceeding === null) return [];
        const opening = rest.opening === null ? null : [...rest.opening];
        const { startMs, endMs, totalMinor } = exceeding;
        return [{ ordinal, isLate, window: { startMs, endMs }, totalMinor, episode, opening }];
      });
      expect(found).toEqual(wanted);
    }),
    { numRuns: 300 },
  );
});
