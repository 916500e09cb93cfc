import { describe, expect, test } from "bun:test";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import type { Headers } from "../../src/log/event-log.ts";
import { recordChecksum } from "../../src/log/record-checksum.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const record = (key: string, value: string | null, headers: Headers = []) => ({
  key: bytes(key),
  value: value === null ? null : bytes(value),
  headers,
});

/** The frame as the module's header describes it, written a second time and plainly. */
function framed(of: { key: Uint8Array; value: Uint8Array | null; headers: Headers }): Buffer {
  const number = (n: number) => Buffer.from(new Uint32Array([n]).buffer);
  const names = [...new Set(of.headers.map(([name]) => name))].sort((a, b) => (a < b ? -1 : 1));
  const sorted = names.flatMap((name) => of.headers.filter(([other]) => other === name));
  return Buffer.concat([
    number(of.key.length),
    number(of.value === null ? 0xffffffff : of.value.length),
    number(of.headers.length),
    of.key,
    of.value ?? bytes(""),
    ...sorted.flatMap(([name, value]) => {
      const nameBytes = Buffer.from(name, "utf8");
      return [number(nameBytes.length), number(value.length), nameBytes, value];
    }),
  ]);
}

const arbitraryRecord = fc.record({
  key: fc.uint8Array({ maxLength: 200 }),
  value: fc.option(fc.uint8Array({ maxLength: 500 })),
  headers: fc.array(
    fc.tuple(fc.string({ maxLength: 5, unit: "grapheme" }), fc.uint8Array({ maxLength: 50 })),
    { maxLength: 5 },
  ),
});

describe("recordChecksum", () => {
  test("keeps its golden values, for they stand in stored logs", () => {
    expect(recordChecksum(record("", ""))).toBe(GOLDEN.empty);
    expect(recordChecksum(record("k", null))).toBe(GOLDEN.tombstone);
    expect(recordChecksum(record("key", "value", [["id", bytes("7")]]))).toBe(GOLDEN.full);
  });

  test("is CRC-32 over the described frame, for any record", () => {
    fc.assert(
      fc.property(arbitraryRecord, (any) => {
        expect(recordChecksum(any)).toBe(crc32(framed(any)));
      }),
    );
  });

  test("tells a tombstone from an empty value", () => {
    expect(recordChecksum(record("k", null))).not.toBe(recordChecksum(record("k", "")));
  });

  test("notices a byte that moves between key, value, header name and header value", () => {
    const sums = [
      record("ab", "c"),
      record("a", "bc"),
      record("abc", ""),
      record("a", "b", [["c", bytes("")]]),
      record("a", "b", [["", bytes("c")]]),
      record("a", "", [["b", bytes("c")]]),
      record("a", "", [["bc", bytes("")]]),
    ].map(recordChecksum);
    expect(new Set(sums).size).toBe(sums.length);
  });

  test("notices every single flipped bit", () => {
    const whole = record("key", "value", [["id", bytes("x")]]);
    const good = recordChecksum(whole);
    for (const part of [whole.key, whole.value as Uint8Array, whole.headers[0]?.[1]]) {
      for (let bit = 0; bit < (part as Uint8Array).length * 8; bit++) {
        const at = bit >> 3;
        const target = part as Uint8Array;
        target[at] = (target[at] as number) ^ (1 << (bit & 7));
        expect(recordChecksum(whole)).not.toBe(good);
        target[at] = (target[at] as number) ^ (1 << (bit & 7));
      }
    }
    expect(recordChecksum(whole)).toBe(good);
  });

  test("does not depend on how headers of different names are interleaved", () => {
    const [a1, a2, b] = [
      ["a", bytes("1")],
      ["a", bytes("2")],
      ["b", bytes("3")],
    ] as const;
    expect(recordChecksum(record("k", "v", [a1, b, a2]))).toBe(
      recordChecksum(record("k", "v", [a1, a2, b])),
    );
    expect(recordChecksum(record("k", "v", [a2, a1, b]))).not.toBe(
      recordChecksum(record("k", "v", [a1, a2, b])),
    );
  });

  test("takes a record larger than its first scratch buffer, and small ones after it", () => {
    const small = recordChecksum(record("k", "v"));
    const large = { key: bytes("k"), value: new Uint8Array(1_000_000).fill(7), headers: [] };
    expect(recordChecksum(large)).toBe(crc32(framed(large)));
    expect(recordChecksum(record("k", "v"))).toBe(small);
  });
});

/** Computed once with another program (Python: zlib.crc32 over struct.pack). */
const GOLDEN = { empty: 2_077_607_535, tombstone: 292_867_206, full: 4_023_790_097 };
