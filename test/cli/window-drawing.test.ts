import { expect, test } from "bun:test";
import { windowDrawing } from "../../src/cli/window-drawing.ts";

const WINDOW = { windowStartMs: 1_000_000, windowEndMs: 1_120_000 };

function drawn(...deposits: readonly (readonly [afterMs: number, amountMinor: bigint])[]): string {
  return windowDrawing(
    {
      ...WINDOW,
      deposits: deposits.map(([afterMs, amountMinor]) => ({
        acceptedAtMs: WINDOW.windowStartMs + afterMs,
        amountMinor,
      })),
    },
    2,
  );
}

test("a window is drawn from its first millisecond to its last, as high as its amounts", () => {
  const words = "a column is 3 s, the highest has 8.00";
  const gap = (columns: number) => "·".repeat(columns);
  expect(drawn([1, 800n], [120_000, 1n])).toBe(`|█${gap(38)}▁|  ${words}`);
  // 3,000 ms after the start is the last moment of the first column.
  expect(drawn([3_000, 400n], [3_001, 800n])).toBe(`|▄█${gap(38)}|  ${words}`);
  expect(drawn([60_000, 800n], [60_001, 401n])).toBe(`|${gap(19)}█▅${gap(19)}|  ${words}`);
});

test("what lies in one column adds up, however large", () => {
  const most = 2n ** 63n - 1n;
  const [bars, words] = drawn([10, most], [20, most], [119_999, most]).split("  ");
  expect(bars).toBe(`|█${"·".repeat(38)}▄|`);
  expect(words).toEndWith("has 184467440737095516.14");
});
