import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type BalanceRow, balanceRow, type LastDeposit } from "../../src/collector/balance-row.ts";
import { addDeposit, balanceGroup } from "../../src/collector/collector.ts";
import { newDeposit } from "../../src/deposits/deposit.ts";
import type { Input } from "../../src/stream/group.ts";
import { memoryContext } from "../stream/memory-context.ts";

function deposit(n: number, amountMinor = 100n): LastDeposit {
  const id = n % 2 === 0 ? `order-${n}` : null;
  return { partition: 3, offset: BigInt(n), id, amountMinor, acceptedAtMs: 1_790_000_000_000 + n };
}

describe("addDeposit: given a row, when one more is counted, then this row", () => {
  const cases: [string, BalanceRow | null, LastDeposit, BalanceRow][] = [
    [
      "a new wallet starts with it",
      null,
      deposit(1, 250n),
      { totalMinor: 250n, count: 1, last: [deposit(1, 250n)] },
    ],
    [
      "the newest stands last",
      { totalMinor: 250n, count: 1, last: [deposit(1, 250n)] },
      deposit(2, 50n),
      { totalMinor: 300n, count: 2, last: [deposit(1, 250n), deposit(2, 50n)] },
    ],
    [
      "the fifth joins four",
      { totalMinor: 400n, count: 4, last: [1, 2, 3, 4].map((n) => deposit(n)) },
      deposit(5),
      { totalMinor: 500n, count: 5, last: [1, 2, 3, 4, 5].map((n) => deposit(n)) },
    ],
    [
      "the sixth pushes the first out, the total keeps it",
      { totalMinor: 500n, count: 5, last: [1, 2, 3, 4, 5].map((n) => deposit(n)) },
      deposit(6),
      { totalMinor: 600n, count: 6, last: [2, 3, 4, 5, 6].map((n) => deposit(n)) },
    ],
    [
      "a total goes beyond 64 bits",
      { totalMinor: 2n ** 63n - 1n, count: 1, last: [] },
      deposit(2, 2n ** 63n - 1n),
      { totalMinor: 2n ** 64n - 2n, count: 2, last: [deposit(2, 2n ** 63n - 1n)] },
    ],
  ];
  test.each(cases)("%s", (_, given, when, then) => {
    const before = structuredClone(given);
    expect(addDeposit(given, when)).toEqual(then);
    expect(given).toEqual(before);
  });
});

describe("the balance group", () => {
  const [depositInput] = balanceGroup.inputs as [Input<unknown>];

  test("keeps total, count and the last 5 of any number of deposits", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            amountMinor: fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }),
            acceptedAtMs: fc.nat(),
            id: fc.option(fc.string({ minLength: 1, maxLength: 20 })),
          }),
          { minLength: 1 },
        ),
        (deposits) => {
          const context = memoryContext("w");
          for (const [i, { id, ...message }] of deposits.entries()) {
            context.record = { ...context.record, partition: 5, offset: BigInt(i * 3), id };
            depositInput.callback(context, newDeposit(message));
            context.reload();
          }
          expect(context.get(balanceRow)).toEqual({
            totalMinor: deposits.reduce((sum, { amountMinor }) => sum + amountMinor, 0n),
            count: deposits.length,
            last: deposits
              .map((one, i) => ({ partition: 5, offset: BigInt(i * 3), ...one }))
              .slice(-5),
          });
        },
      ),
    );
  });

  test("tells repeats of an id apart by the amount alone", () => {
    const print = (amountMinor: bigint, acceptedAtMs: number) =>
      depositInput.fingerprint?.(newDeposit({ amountMinor, acceptedAtMs }));
    expect(print(5n, 1)).toBe("5");
    expect(print(5n, 2)).toBe(print(5n, 1));
    expect(print(6n, 1)).not.toBe(print(5n, 1));
  });

  test("reads one row and writes one for a deposit, however many came before", () => {
    const context = memoryContext("w");
    for (let i = 0; i < 500; i++) {
      depositInput.callback(context, newDeposit({ amountMinor: 1n, acceptedAtMs: i }));
    }
    const { gets, sets, ranges } = context.reads;
    expect({ gets, sets, ranges }).toEqual({ gets: 500, sets: 500, ranges: 0 });
  });
});

describe("the balance row", () => {
  const row: BalanceRow = {
    totalMinor: 2n ** 64n,
    count: 300,
    last: [
      { partition: 3, offset: 17n, id: null, amountMinor: 1n, acceptedAtMs: 1_790_000_000_000 },
      { partition: 3, offset: 18n, id: "é", amountMinor: 2n ** 63n - 1n, acceptedAtMs: 0 },
    ],
  };

  test("has these bytes", () => {
    expect(Buffer.from(balanceRow.codec.encode(row)).toString("hex")).toBe(
      "0180808080808080808002ac020203110001" + "80d8c1a28c34" + "03120102c3a9ffffffffffffffff7f00",
    );
  });

  test("throws at another format, at a cut and at bytes left over", () => {
    const bytes = balanceRow.codec.encode(row);
    expect(() => balanceRow.codec.decode(Buffer.concat([bytes, Buffer.from([0])]))).toThrow();
    expect(() => balanceRow.codec.decode(bytes.subarray(0, -1))).toThrow();
    expect(() => balanceRow.codec.decode(new Uint8Array([2]))).toThrow("format 2");
  });
});
