import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { entriesFrom, entriesOf } from "../../src/detector/entries.ts";
import {
  blockEntriesRow,
  blockHeadRow,
  blockKeyOf,
  blockSubKey,
  type WalletRow,
  walletRow,
} from "../../src/detector/window-rows.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

const entries = entriesFrom([{ timeMs: 1_000, ordinal: 2, amountMinor: 5n, offset: 9n, id: null }]);
const head = { sumMinor: 5n, count: 1, firstMs: 1_000, lastMs: 1_000 };
const row: WalletRow = {
  count: 3,
  newestMs: 1_000,
  windowMs: 120_000,
  windowSumMinor: 2n ** 64n,
  windowCount: 2,
  windowFirstMs: 900,
  tailKey: { timeMs: 0, ordinal: 0 },
  tail: null,
  episode: 1,
  eventWindow: { startMs: -119_000, endMs: 1_000 },
  openKey: { timeMs: 1_000, ordinal: 2 },
  openHead: head,
  openEntries: entries,
};

describe("the detector's rows", () => {
  test("the wallet row has these bytes, and gives back what it was made of", () => {
    const bytes = walletRow.codec.encode(row);
    expect(hex(bytes)).toBe(
      [
        "01" + "03" + "e807" + "80808080808080808002" + "02" + "c801" + "0000",
        "01" + "01" + "afc30e" + "c0a907" + "e80702",
        "05" + "01" + "e807" + "00",
        "e807" + "04" + "05" + "09" + "00",
      ].join(""),
    );
    const { openEntries, ...rest } = walletRow.codec.decode(bytes);
    const { openEntries: expected, ...expectedRest } = row;
    expect(rest).toEqual(expectedRest);
    expect(entriesOf(openEntries)).toEqual(entriesOf(expected));
  });

  test("a wallet row without an event says so", () => {
    const again = walletRow.codec.decode(walletRow.codec.encode({ ...row, eventWindow: null }));
    expect(again.eventWindow).toBeNull();
  });

  test("head and entries of a block have these bytes", () => {
    expect(hex(blockHeadRow.codec.encode(head))).toBe("01" + "0501e80700");
    expect(blockHeadRow.codec.decode(blockHeadRow.codec.encode(head))).toEqual(head);
    expect(hex(blockEntriesRow.codec.encode(entries))).toBe("01" + "01" + "e807" + "04050900");
  });

  test("a wallet row of another window says its length, before all else", () => {
    const bytes = walletRow.codec.encode({ ...row, windowMs: 300_000 });
    const firstBytes = hex(walletRow.codec.encode(row));
    expect(hex(bytes)).toBe(`02e0a712${firstBytes.slice(2)}`);
    expect(walletRow.codec.decode(bytes).windowMs).toBe(300_000);
  });

  test("another format is refused", () => {
    for (const { codec } of [walletRow, blockHeadRow, blockEntriesRow]) {
      expect(() => codec.decode(new Uint8Array([3, 0, 0, 0, 0]))).toThrow("format 3");
    }
  });

  test("sub-keys sort as time, then ordinal, and give both back", () => {
    const place = fc.tuple(
      fc.oneof(fc.integer({ min: 0, max: 300 }), fc.maxSafeNat()),
      fc.oneof(fc.integer({ min: 0, max: 300 }), fc.maxSafeNat()),
    );
    fc.assert(
      fc.property(place, place, (a, b) => {
        const [first, second] = [blockSubKey(...a), blockSubKey(...b)];
        expect(Math.sign(Buffer.compare(first, second))).toBe(
          Math.sign(a[0] - b[0] || a[1] - b[1]),
        );
        expect(blockKeyOf(first)).toEqual({ timeMs: a[0], ordinal: a[1] });
        expect(first.length).toBe(16);
      }),
    );
    expect(hex(blockSubKey(2 ** 32 + 1, 258))).toBe("0000000100000001" + "0000000000000102");
  });
});
