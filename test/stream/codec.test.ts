import { expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { jsonCodec, protobufCodec } from "../../src/stream/codec.ts";

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

test("writes protobuf's own bytes, keeps fields it does not know, refuses broken ones", () => {
  const codec = protobufCodec(TimestampSchema);
  expect(codec.name).toBe("google.protobuf.Timestamp");
  const bytes = codec.encode(create(TimestampSchema, { seconds: 150n, nanos: 7 }));
  expect(Buffer.from(bytes).toString("hex")).toBe("0896011007");
  expect(codec.decode(bytes)).toEqual(create(TimestampSchema, { seconds: 150n, nanos: 7 }));
  const later = Buffer.from("08960110071a0178", "hex");
  expect(Buffer.from(codec.encode(codec.decode(later))).toString("hex")).toBe("08960110071a0178");
  for (const broken of ["08", "0a", "ff"]) {
    expect(() => codec.decode(Buffer.from(broken, "hex"))).toThrow();
  }
});
