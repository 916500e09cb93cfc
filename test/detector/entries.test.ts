import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  appendEntry,
  countUpTo,
  type Entry,
  entriesFrom,
  entriesOf,
  entryAt,
  insertEntry,
  isBefore,
  noEntries,
  packedEntries,
  unpackEntries,
} from "../../src/detector/entries.ts";

const entry: fc.Arbitrary<Entry> = fc.record({
  timeMs: fc.oneof(fc.integer({ min: 0, max: 20 }), fc.maxSafeNat()),
  ordinal: fc.integer({ min: 1, max: 2 ** 50 }),
  amountMinor: fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }),
  offset: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
  id: fc.option(
    fc.oneof(
      fc.string({ minLength: 1, maxLength: 10 }),
      fc.constantFrom("sha:1", "sha:2", "sha:👛", "sha:👜", "sha:", "s"),
      fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 }),
    ),
  ),
});

const sorted = fc
  .array(entry)
  .map((entries) => entries.sort((a, b) => (isBefore(a, b) ? -1 : isBefore(b, a) ? 1 : 0)));

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("entries", () => {
  test("give back what was put in, also from their bytes", () => {
    fc.assert(
      fc.property(sorted, (items) => {
        const entries = entriesFrom(items);
        expect(entriesOf(entries)).toEqual(items);
        const again = unpackEntries(items.length, packedEntries(entries).slice());
        expect(entriesOf(again)).toEqual(items);
      }),
    );
  });

  test("grow from their bytes without being read first", () => {
    fc.assert(
      fc.property(sorted, fc.nat(), (items, at) => {
        const cut = items.length === 0 ? 0 : at % items.length;
        const half = entriesFrom(items.slice(0, cut));
        const again = unpackEntries(cut, packedEntries(half).slice());
        const whole = items.slice(cut).reduce(appendEntry, again);
        expect(entriesOf(whole)).toEqual(items);
        expect(hex(packedEntries(whole))).toBe(hex(packedEntries(entriesFrom(items))));
      }),
    );
  });

  test("stay what they were when something is appended to them, or twice", () => {
    fc.assert(
      fc.property(sorted, entry, entry, fc.boolean(), (items, one, other, isRead) => {
        const end = { timeMs: Number.MAX_SAFE_INTEGER, ordinal: 2 ** 51 };
        const entries = entriesFrom(items);
        if (isRead) entriesOf(entries);
        const before = hex(packedEntries(entries));
        const first = appendEntry(entries, { ...one, ...end });
        const second = appendEntry(entries, { ...other, ...end });
        const third = appendEntry(first, { ...other, ...end, ordinal: 2 ** 52 - 1 });
        expect(hex(packedEntries(entries))).toBe(before);
        const expected = new Map([
          [entries, items],
          [first, [...items, { ...one, ...end }]],
          [second, [...items, { ...other, ...end }]],
          [third, [...items, { ...one, ...end }, { ...other, ...end, ordinal: 2 ** 52 - 1 }]],
        ]);
        for (const [list, inside] of expected) {
          expect(entriesOf(list)).toEqual(inside);
          expect(entriesOf(unpackEntries(list.count, packedEntries(list).slice()))).toEqual(inside);
        }
      }),
    );
  });

  test("take a late one into its place", () => {
    fc.assert(
      fc.property(sorted, entry, (items, late) => {
        fc.pre(items.every((one) => one.timeMs !== late.timeMs || one.ordinal !== late.ordinal));
        const all = entriesOf(insertEntry(entriesFrom(items), late));
        const expected = [...items, late].sort((a, b) => (isBefore(a, b) ? -1 : 1));
        expect(all).toEqual(expected);
      }),
    );
  });

  test("count those up to a time as a scan does", () => {
    fc.assert(
      fc.property(sorted, fc.integer({ min: -1, max: 21 }), (items, timeMs) => {
        const expected = items.filter((one) => one.timeMs <= timeMs).length;
        expect(countUpTo(entriesFrom(items), timeMs)).toBe(expected);
      }),
    );
  });

  test("have these bytes: steps of time and ordinal, ids without what they share", () => {
    const items: Entry[] = [
      { timeMs: 1_790_000_000_000, ordinal: 7, amountMinor: 200_000n, offset: 300n, id: "file:1" },
      { timeMs: 1_790_000_000_000, ordinal: 9, amountMinor: 1n, offset: 302n, id: "file:2" },
      { timeMs: 1_790_000_000_200, ordinal: 8, amountMinor: 1n, offset: 301n, id: null },
    ];
    expect(hex(packedEntries(entriesFrom(items)))).toBe(
      [
        "80d8c1a28c34" + "0e" + "c09a0c" + "ac02" + "01" + "0666696c653a31",
        "00" + "04" + "01" + "ae02" + "06" + "0132",
        "c801" + "01" + "01" + "ad02" + "00",
      ].join(""),
    );
  });

  test("throw at an index that is not there, and at bytes that do not end", () => {
    expect(() => entryAt(noEntries(), 0)).toThrow(RangeError);
    const bytes = packedEntries(
      entriesFrom([{ timeMs: 1, ordinal: 1, amountMinor: 1n, offset: 1n, id: null }]),
    );
    expect(() => entriesOf(unpackEntries(2, bytes))).toThrow(RangeError);
    expect(() => entriesOf(unpackEntries(0, bytes))).toThrow("too long");
  });
});
