import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  newPacker,
  packed,
  putBigint,
  putBytes,
  putCount,
  putRest,
  putSigned,
  putText,
  takeBigint,
  takeBytes,
  takeCount,
  takeEnd,
  takeRest,
  takeSigned,
  takeText,
  unpack,
} from "../../src/stream/packing.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("packing", () => {
  test("writes the bytes that protobuf's varints have", () => {
    const packer = newPacker(1);
    putCount(packer, 0);
    putCount(packer, 127);
    putCount(packer, 150);
    putCount(packer, Number.MAX_SAFE_INTEGER);
    putSigned(packer, -1);
    putSigned(packer, 1);
    putBigint(packer, 2n ** 64n);
    putText(packer, "añ");
    putBytes(packer, new Uint8Array([1, 2]));
    expect(hex(packed(packer))).toBe(
      [
        "00",
        "7f",
        "9601",
        "ffffffffffffff0f",
        "01",
        "02",
        "80808080808080808002",
        "0361c3b1",
        "020102",
      ].join(""),
    );
  });

  test("gives back what was put, in any mixture", () => {
    const field = fc.oneof(
      fc.record({ kind: fc.constant("count" as const), value: fc.maxSafeNat() }),
      fc.record({
        kind: fc.constant("signed" as const),
        value: fc.integer({ min: -(2 ** 52), max: 2 ** 52 - 1 }),
      }),
      fc.record({
        kind: fc.constant("bigint" as const),
        value: fc.oneof(
          fc.bigInt({ min: 0n, max: 2n ** 54n }),
          fc.bigInt({ min: 0n, max: 2n ** 200n }),
        ),
      }),
      fc.record({
        kind: fc.constant("text" as const),
        value: fc.string({ unit: "binary", maxLength: 300, size: "max" }),
      }),
      fc.record({ kind: fc.constant("bytes" as const), value: fc.uint8Array({ maxLength: 200 }) }),
    );
    fc.assert(
      fc.property(fc.array(field), fc.uint8Array(), (fields, rest) => {
        const packer = newPacker(8);
        for (const { kind, value } of fields) {
          if (kind === "count") putCount(packer, value);
          else if (kind === "signed") putSigned(packer, value);
          else if (kind === "bigint") putBigint(packer, value);
          else if (kind === "text") putText(packer, value);
          else putBytes(packer, value);
        }
        putRest(packer, rest);
        const from = unpack(packed(packer));
        for (const { kind, value } of fields) {
          if (kind === "count") expect(takeCount(from)).toBe(value);
          else if (kind === "signed") expect(takeSigned(from)).toBe(value);
          else if (kind === "bigint") expect(takeBigint(from)).toBe(value);
          else if (kind === "text") expect(takeText(from)).toBe(value);
          else expect(takeBytes(from)).toEqual(value);
        }
        expect(takeRest(from)).toEqual(rest);
        takeEnd(from);
      }),
    );
  });

  test("refuses numbers that it could not give back", () => {
    const packer = newPacker(8);
    for (const value of [-1, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => putCount(packer, value)).toThrow(RangeError);
    }
    expect(() => putBigint(packer, -1n)).toThrow(RangeError);
    expect(packed(packer)).toEqual(new Uint8Array());
  });

  test("throws at every cut, at what is left over, and at a count beyond safe integers", () => {
    const packer = newPacker(8);
    putBigint(packer, 2n ** 60n);
    putText(packer, "text");
    const whole = packed(packer);
    for (let length = 0; length < whole.length; length++) {
      const from = unpack(whole.subarray(0, length));
      expect(() => {
        takeBigint(from);
        takeText(from);
      }).toThrow(RangeError);
    }
    expect(() => takeCount(unpack(whole))).toThrow(RangeError);
    expect(() => takeEnd(unpack(whole))).toThrow("bytes too many");
  });

  test("throws at text that is no UTF-8", () => {
    expect(() => takeText(unpack(new Uint8Array([1, 0xff])))).toThrow();
  });
});
