import { expect, test } from "bun:test";
import { FlexibleReader, FlexibleWriter } from "../../../src/log/kafka/flexible-bytes.ts";

test("a compact length is one more than it is, in as few bytes as it takes", () => {
  const golden: [string | null, string][] = [
    [null, "00"],
    ["", "01"],
    ["größe", "08"],
    ["x".repeat(126), "7f"],
    ["x".repeat(127), "8001"],
    ["x".repeat(16_383), "808001"],
  ];
  for (const [value, length] of golden) {
    const bytes = new FlexibleWriter().compactString(value).done();
    expect(bytes.toString("hex")).toBe(length + Buffer.from(value ?? "").toString("hex"));
    const reader = new FlexibleReader(bytes);
    expect(reader.compactString()).toBe(value);
    expect(reader.left).toBe(0);
  }
});

test("an array comes back, and null is not empty as it is written", () => {
  const array = (items: readonly number[] | null) => {
    const writer = new FlexibleWriter();
    return writer.compactArray(items, (item) => writer.int16(item)).done();
  };
  expect(array([1, -1]).toString("hex")).toBe("030001ffff");
  expect(array([]).toString("hex")).toBe("01");
  expect(array(null).toString("hex")).toBe("00");
  for (const items of [[1, -1], [], null]) {
    const reader = new FlexibleReader(array(items));
    expect(reader.compactArray(() => reader.int16())).toEqual(items ?? []);
  }
});

test("tagged fields are passed, whatever they hold", () => {
  const reader = new FlexibleReader(Buffer.from("02" + "0003616263" + "800100" + "07", "hex"));
  reader.skipTags();
  expect(reader.int8()).toBe(7);
});

test("a length that has no end, or is longer than what is there, is refused", () => {
  for (const hex of ["", "80", "ffffffffff01", "ffffffff0f", "05616263"]) {
    const read = () => new FlexibleReader(Buffer.from(hex, "hex")).compactString();
    expect(read).toThrow(RangeError);
  }
});
