/** Which changes between two runs count. */

import { describe, expect, test } from "bun:test";
import { changeOf, comparisonTable } from "../../bench/compare.ts";
import { atLeast, atMost, type Figure } from "../../bench/measurement.ts";
import { standing } from "../../bench/picture.ts";
import { withTable } from "../../bench/readme.ts";
import { merged, type Row } from "../../bench/results.ts";

const LOW = [10, 11, 12, 13, 14];
const HIGH = [15, 16, 17, 18, 19];

function figure(samples: readonly number[], target: Figure["target"] = atLeast(1)): Row {
  return { benchmark: "up", what: "rate", unit: "/s", samples, target, remark: "" };
}

describe("a change", () => {
  test("counts when no sample of one run is within the other's", () => {
    expect(changeOf(figure(LOW), figure(HIGH))).toBe("better");
    expect(changeOf(figure(HIGH), figure(LOW))).toBe("worse");
  });

  test("to less is better where little is wanted, and neither where nothing is", () => {
    expect(changeOf(figure(HIGH, atMost(9)), figure(LOW, atMost(9)))).toBe("better");
    expect(changeOf(figure(HIGH, null), figure(LOW, null))).toBe("less");
  });

  test("is noise where the runs overlap, were it by one sample", () => {
    expect(changeOf(figure([...LOW.slice(1), 15]), figure(HIGH))).toBe("noise");
  });

  test("of fewer than five runs is not told", () => {
    expect(changeOf(figure(LOW.slice(1)), figure(HIGH))).toBe("too few runs");
    expect(changeOf(undefined, figure(HIGH))).toBe("new");
  });

  test("is shown a row for each figure, those that were not measured included", () => {
    const gone = { ...figure(LOW), what: "gone" };
    expect(comparisonTable([figure(LOW), gone], [figure(HIGH)]).split("\n").slice(2)).toEqual([
      "| rate | 12 | 17 /s | +41.7 % | better |",
      "| gone | 12 | | | not measured |",
    ]);
  });
});

test("results of a part of the benchmarks take the place of those, and no others", () => {
  const row = (benchmark: string, sample: number): Row => ({ ...figure([sample]), benchmark });
  const all = merged([row("up", 1), row("idle", 2), row("no more", 3)], [row("idle", 4)], [
    ...["idle", "up"],
  ]);
  expect(all.map(({ benchmark, samples }) => [benchmark, ...samples])).toEqual([
    ["idle", 4],
    ["up", 1],
  ]);
});

test("the picture puts 1 where a target is just reached, and better to the right", () => {
  const least = standing(figure([50, 100, 200], atLeast(100)));
  expect(least).toEqual({ middle: 1, least: 0.5, most: 2 });
  const most = standing(figure([50, 100, 200], atMost(100)));
  expect(most).toEqual({ middle: 1, least: 0.5, most: 2 });
  expect(standing(figure([1], null))).toBeNull();
});

test("a table takes the place of its own one in the README", () => {
  const text = "a\n<!-- bench kafka -->\n\nold\n\n<!-- bench end -->\nb\n";
  const changed = "a\n<!-- bench kafka -->\n\nnew\n\n<!-- bench end -->\nb\n";
  expect(withTable(text, "kafka", "new")).toBe(changed);
  expect(() => withTable(text, "embedded", "new")).toThrow("no place");
});
