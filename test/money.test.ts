import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  formatDecimal,
  formatNumber,
  isScale,
  MAX_AMOUNT_MINOR,
  MAX_DECIMALS,
  MoneyError,
  parseAmount,
} from "../src/money.ts";
import { thrown } from "./thrown.ts";

const failure = (run: () => unknown) => thrown(MoneyError, run);

describe("parseAmount", () => {
  test.each([
    ["2000", 2, 200_000n],
    ["0.1", 2, 10n],
    ["12.50", 2, 1_250n],
    ["12.5", 2, 1_250n],
    ["0.01", 2, 1n],
    ["10000.01", 2, 1_000_001n],
    ["90071992547409.93", 2, 9_007_199_254_740_993n],
    ["92233720368547758.07", 2, MAX_AMOUNT_MINOR],
    ["9223372036854775807", 0, MAX_AMOUNT_MINOR],
    ["7", 0, 7n],
    ["0.000000000000000001", 18, 1n],
    ["9.223372036854775807", 18, MAX_AMOUNT_MINOR],
    ["1", 18, 10n ** 18n],
  ])("takes %s at %i decimals as %d", (text, decimals, minor) => {
    expect(parseAmount(text, decimals)).toBe(minor);
  });

  test.each([
    ["", "amount_not_a_number"],
    [" 2000", "amount_not_a_number"],
    ["2000 ", "amount_not_a_number"],
    ["2000\n", "amount_not_a_number"],
    ["2,000", "amount_not_a_number"],
    ["2_000", "amount_not_a_number"],
    ["0x10", "amount_not_a_number"],
    ["01", "amount_not_a_number"],
    ["00", "amount_not_a_number"],
    ["-01", "amount_not_a_number"],
    [".5", "amount_not_a_number"],
    ["1.", "amount_not_a_number"],
    ["1.2.3", "amount_not_a_number"],
    ["--1", "amount_not_a_number"],
    ["NaN", "amount_not_a_number"],
    ["Infinity", "amount_not_a_number"],
    ["٣", "amount_not_a_number"],
    ["+1", "amount_sign"],
    ["+0.5", "amount_sign"],
    ["1e3", "amount_exponent"],
    ["1E3", "amount_exponent"],
    ["1.5e+3", "amount_exponent"],
    ["2e-1", "amount_exponent"],
    ["1.005", "amount_precision"],
    ["1.000", "amount_precision"],
    ["1.000000000000000005", "amount_precision"],
    ["0", "amount_not_positive"],
    ["0.0", "amount_not_positive"],
    ["0.00", "amount_not_positive"],
    ["-0", "amount_not_positive"],
    ["-5", "amount_not_positive"],
    ["-5.005", "amount_not_positive"],
    ["-1e3", "amount_not_positive"],
    ["92233720368547758.08", "amount_too_large"],
    ["99999999999999999999", "amount_too_large"],
    ["9".repeat(10_000), "amount_too_large"],
  ])("refuses %p as %s", (text, code) => {
    const error = failure(() => parseAmount(text, 2));
    expect(error.code).toBe(code as MoneyError["code"]);
  });

  test("says `amount must be more than 0` of everything that is not more than 0", () => {
    for (const text of ["0", "0.00", "-0", "-5", "-0.01", "-1e9", "-1.23456"]) {
      expect(failure(() => parseAmount(text, 2)).message).toBe("amount must be more than 0");
    }
  });

  test("names the largest amount and the decimals that are allowed", () => {
    expect(failure(() => parseAmount("92233720368547758.08", 2)).message).toBe(
      "amount must not be more than 92233720368547758.07",
    );
    expect(failure(() => parseAmount("1.005", 2)).message).toBe(
      "amount has 3 decimals; at most 2 are allowed",
    );
    expect(failure(() => parseAmount("1.0", 0)).code).toBe("amount_precision");
  });

  test("agrees with exact rational arithmetic on every decimal text", () => {
    const digits = fc.string({ unit: fc.constantFrom(..."0123456789"), maxLength: 22 });
    fc.assert(
      fc.property(
        digits,
        digits,
        fc.integer({ min: 0, max: MAX_DECIMALS }),
        (wholeDigits, fraction, decimals) => {
          const whole = wholeDigits.replace(/^0+/, "") || "0";
          const text = fraction === "" ? whole : `${whole}.${fraction}`;
          // value = numerator / 10^fraction.length; minor units = value * 10^decimals.
          const numerator = BigInt(whole + fraction) * 10n ** BigInt(decimals);
          const denominator = 10n ** BigInt(fraction.length);
          const minor = numerator / denominator;
          const code =
            fraction.length > decimals
              ? "amount_precision"
              : minor === 0n
                ? "amount_not_positive"
                : minor > MAX_AMOUNT_MINOR
                  ? "amount_too_large"
                  : null;
          if (code === null) {
            expect(parseAmount(text, decimals)).toBe(minor);
            expect(minor * denominator).toBe(numerator);
          } else {
            expect(failure(() => parseAmount(text, decimals)).code).toBe(code);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test("throws nothing but its own error, whatever the text", () => {
    const unit = fc.constantFrom(..."0123456789.-+eE ,_\u0660");
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 12 }), (text) => {
        try {
          const minor = parseAmount(text, 2);
          expect(Number(text)).toBeCloseTo(Number(minor) / 100, 1);
        } catch (error) {
          expect(error).toBeInstanceOf(MoneyError);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("formatDecimal and formatNumber", () => {
  test.each([
    [1_250n, 2, "12.50", "12.5"],
    [1_200n, 2, "12.00", "12"],
    [5n, 2, "0.05", "0.05"],
    [0n, 2, "0.00", "0"],
    [100_000n, 2, "1000.00", "1000"],
    [9_007_199_254_740_993n, 2, "90071992547409.93", "90071992547409.93"],
    [120n, 0, "120", "120"],
    [0n, 0, "0", "0"],
    [1n, 18, "0.000000000000000001", "0.000000000000000001"],
    [-1_250n, 2, "-12.50", "-12.5"],
    [-5n, 2, "-0.05", "-0.05"],
    [10n ** 30n, 2, `1${"0".repeat(28)}.00`, `1${"0".repeat(28)}`],
  ])("prints %d at %i decimals as %s and %s", (minor, decimals, decimal, number) => {
    expect(formatDecimal(minor, decimals)).toBe(decimal);
    expect(formatNumber(minor, decimals)).toBe(number);
  });

  test("prints 0.1 + 0.2 as 0.3", () => {
    expect(formatNumber(parseAmount("0.1", 2) + parseAmount("0.2", 2), 2)).toBe("0.3");
  });

  test("prints what parses back to the same amount, and JSON in its shortest form", () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 1n, max: MAX_AMOUNT_MINOR }),
        fc.integer({ min: 0, max: MAX_DECIMALS }),
        (minor, decimals) => {
          const decimal = formatDecimal(minor, decimals);
          const number = formatNumber(minor, decimals);
          expect(parseAmount(decimal, decimals)).toBe(minor);
          expect(parseAmount(number, decimals)).toBe(minor);
          expect(decimal.split(".")[1]?.length ?? 0).toBe(decimals);
          expect(number).not.toMatch(/\.\d*0$|\.$/);
          expect(typeof JSON.parse(number)).toBe("number");
        },
      ),
    );
  });
});

test("a scale is a whole number of decimals, 0 to 18", () => {
  expect([0, 2, 18].map(isScale)).toEqual([true, true, true]);
  expect([-1, 19, 1.5, Number.NaN].map(isScale)).toEqual([false, false, false, false]);
});
