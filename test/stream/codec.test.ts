import { expect, test } from "bun:test";
import fc from "fast-check";
import { jsonCodec } from "../../src/stream/codec.ts";

test("gives back any JSON value", () => {
  const codec = jsonCodec<unknown>();
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const plain: unknown = JSON.parse(JSON.stringify(value)); // JSON knows no -0
      expect(codec.decode(codec.encode(value))).toEqual(plain);
    }),
  );
});

test("refuses bytes that are no JSON or no UTF-8", () => {
  const codec = jsonCodec<string>();
  for (const broken of ["", "7b", "22ff22", "312c"]) {
    expect(() => codec.decode(Buffer.from(broken, "hex"))).toThrow();
  }
});

test("refuses to write what it could not read", () => {
  const codec = jsonCodec<unknown>();
  for (const value of [undefined, () => {}, Symbol("s"), 1n]) {
    expect(() => codec.encode(value)).toThrow();
  }
});
