import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  endOfPrefix,
  keyPrefix,
  rowKey,
  splitRowKey,
  toBytes,
  toLatin1,
} from "../../src/stream/row-key.ts";

const someBytes = fc.uint8Array({ maxLength: 6 });
const tag = fc.integer({ min: 0, max: 254 });
const row = fc.record({ key: someBytes, tag, subKey: someBytes });
interface Row {
  key: Uint8Array;
  tag: number;
  subKey: Uint8Array;
}

const stored = ({ key, tag: of, subKey }: Row) => rowKey(keyPrefix(key), of, subKey);
const sign = (n: number) => Math.sign(n);

test("splits what was joined", () => {
  fc.assert(
    fc.property(row, (each) => {
      const found = splitRowKey(toBytes(stored(each)));
      expect([...found.key, "-", found.tag, "-", ...found.subKey]).toEqual(
        [...each.key, "-", each.tag, "-", ...each.subKey],
      );
    }),
  );
});

test("lays a row out as u16 length, key, tag, sub-key", () => {
  const key = rowKey(keyPrefix(toBytes("ab")), 7, toBytes("\x00\xff"));
  expect(toBytes(key).toString("hex")).toBe("000261620700ff");
  expect(rowKey(keyPrefix(toBytes("ab")), 7, undefined)).toBe("\x00\x02ab\x07");
  expect(keyPrefix(new Uint8Array(65_535).fill(65)).slice(0, 3)).toBe("\xff\xffA");
});

test("two different rows never share a key", () => {
  fc.assert(
    fc.property(row, row, (a, b) => {
      const isSame = [a.key, a.tag, a.subKey].join("/") === [b.key, b.tag, b.subKey].join("/");
      expect(stored(a) === stored(b)).toBe(isSame);
    }),
  );
});

test("no key's rows begin with another key's", () => {
  fc.assert(
    fc.property(someBytes, someBytes, (a, b) => {
      fc.pre(Buffer.compare(a, b) !== 0);
      expect(keyPrefix(a).startsWith(keyPrefix(b))).toBe(false);
    }),
  );
});

test("rows of a key and kind stand in the order of their sub-keys, in memory as stored", () => {
  fc.assert(
    fc.property(row, someBytes, (a, subKey) => {
      const [x, y] = [stored(a), stored({ ...a, subKey })];
      const expected = sign(Buffer.compare(a.subKey, subKey));
      expect(sign(Buffer.compare(toBytes(x), toBytes(y)))).toBe(expected);
      expect(x < y ? -1 : Number(x > y)).toBe(expected);
    }),
  );
});

test("the end of a kind's prefix is above its rows and not above the next kind's", () => {
  fc.assert(
    fc.property(row, (each) => {
      const prefix = rowKey(keyPrefix(each.key), each.tag, undefined);
      const end = endOfPrefix(prefix);
      expect(stored(each) >= prefix && stored(each) < end).toBe(true);
      expect(rowKey(keyPrefix(each.key), each.tag + 1, undefined) >= end).toBe(true);
    }),
  );
});

test("bytes survive the way through text, also as a part of a larger buffer", () => {
  const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  expect([...toBytes(toLatin1(all))]).toEqual([...all]);
  expect(toLatin1(all.subarray(250, 253))).toBe("\xfa\xfb\xfc");
});

test("refuses bytes that are no row key", () => {
  for (const broken of ["", "00", "0002", "00026162"]) {
    expect(() => splitRowKey(Buffer.from(broken, "hex"))).toThrow(RangeError);
  }
});
