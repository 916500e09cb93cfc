import { describe, expect, test } from "bun:test";
import { fromBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import {
  acceptedAtProblem,
  depositKeyProblem,
  depositStream,
  MAX_AHEAD_MS,
  newDeposit,
  walletIdProblem,
} from "../../src/deposits/deposit.ts";
import { DepositSchema } from "../../src/gen/depositaja/v1/deposit_pb.ts";
import { MAX_AMOUNT_MINOR } from "../../src/money.ts";
import type { RecordInfo } from "../../src/stream/group.ts";

const NOW_MS = 1_790_000_000_000;

function record(changes: Partial<RecordInfo> = {}): RecordInfo {
  const place = { topic: "deposit", partition: 0, offset: 0n };
  return { key: "wallet", ...place, timestampMs: NOW_MS, id: null, ...changes };
}

describe("walletIdProblem", () => {
  test.each([
    "a",
    "0x1a3565a67721b6ab46fB11d5CF33A72D871aEbA3",
    "with spaces / and ?",
    "dompet-ñ-財布-👛",
    "x".repeat(128),
    "é".repeat(64),
    "👛".repeat(32),
  ])("takes %p", (text) => {
    expect(walletIdProblem(text)).toBeNull();
  });

  test.each([
    ["", "wallet_id must not be empty"],
    ["x".repeat(129), "wallet_id has 129 UTF-8 bytes; at most 128 are allowed"],
    ["é".repeat(65), "wallet_id has 130 UTF-8 bytes; at most 128 are allowed"],
    ["a\u0000", "wallet_id must not have control characters"],
    ["a\n", "wallet_id must not have control characters"],
    ["a\u007f", "wallet_id must not have control characters"],
    ["a\u0085", "wallet_id must not have control characters"],
    ["a\ud83d", "wallet_id must be valid Unicode; it has a lone surrogate"],
    ["\udc5b", "wallet_id must be valid Unicode; it has a lone surrogate"],
  ])("refuses %p", (text, problem) => {
    expect(walletIdProblem(text)).toBe(problem);
  });
});

test("a client's own id has 1 to 256 bytes and no control characters", () => {
  expect(depositKeyProblem("x".repeat(256))).toBeNull();
  expect(depositKeyProblem("")).toBe("id must not be empty");
  expect(depositKeyProblem("x".repeat(257))).toBe(
    "id has 257 UTF-8 bytes; at most 256 are allowed",
  );
  expect(depositKeyProblem("a\t")).toBe("id must not have control characters");
});

test("an event time may be 5 minutes ahead, not more, and is never before 1970", () => {
  expect(acceptedAtProblem(0, NOW_MS)).toBeNull();
  expect(acceptedAtProblem(NOW_MS + MAX_AHEAD_MS, NOW_MS)).toBeNull();
  expect(acceptedAtProblem(NOW_MS + MAX_AHEAD_MS + 1, NOW_MS)).toContain("5 minutes ahead");
  expect(acceptedAtProblem(4_070_908_800_000, 1_000)).toBe(
    "accepted_at 2099-01-01T00:00:00.000Z is more than 5 minutes ahead of the time, " +
      "1970-01-01T00:00:01.000Z",
  );
  const farAhead = acceptedAtProblem(Number.MAX_SAFE_INTEGER, 1_000);
  expect(farAhead).toContain("9007199254740991 ms is more");
  for (const bad of [-1, 0.5, Number.NaN, 2 ** 53]) {
    expect(acceptedAtProblem(bad, NOW_MS)).toContain("not a time");
  }
});

describe("the deposit stream", () => {
  const good = newDeposit({ amountMinor: 200_000n, acceptedAtMs: NOW_MS });

  test("has the bytes that any protobuf client writes", () => {
    // Field 1, varint 200000; field 2, varint 1790000000000.
    const bytes = Buffer.from("08c09a0c1080d8c1a28c34", "hex");
    expect(Buffer.from(depositStream.codec.encode(good)).toString("hex")).toBe(
      bytes.toString("hex"),
    );
    expect(depositStream.codec.decode(bytes)).toEqual(good);
  });

  test("reads fields in another order, and keeps unknown ones", () => {
    const bytes = Buffer.from("1080d8c1a28c3408c09a0c1a0141", "hex");
    const deposit = depositStream.codec.decode(bytes);
    expect(deposit.amountMinor).toBe(200_000n);
    expect(deposit.acceptedAtMs).toBe(BigInt(NOW_MS));
    expect(Buffer.from(depositStream.codec.encode(deposit)).toString("hex")).toEndWith("1a0141");
  });

  test("reads what has no bytes as zeros, and throws at what is no deposit", () => {
    expect(depositStream.codec.decode(new Uint8Array()).amountMinor).toBe(0n);
    for (const bad of [
      "08",
      "08ffffffffffffffffffff01",
      "0a05",
      "0a021007",
      "0a0568656c6c6f",
      "120130",
      "ff",
      "08c09a0c10",
    ]) {
      expect(() => depositStream.codec.decode(Buffer.from(bad, "hex"))).toThrow();
    }
  });

  test("reads what any bytes say as the runtime does", () => {
    const varint = fc.oneof(
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.constantFrom(0n, 127n, 2n ** 49n - 1n, 2n ** 49n, 2n ** 63n - 1n),
    );
    const field = (...numbers: number[]) => fc.tuple(fc.constantFrom(...numbers), varint);
    const messages = fc.oneof(
      fc.tuple(field(1), field(2)),
      fc.array(field(1, 2, 3), { maxLength: 4 }),
    );
    fc.assert(
      fc.property(messages, fc.constantFrom(0, 0, 1, 2, 3), (fields, cut) => {
        const writer = new BinaryWriter();
        for (const [number, value] of fields) writer.tag(number, WireType.Varint).uint64(value);
        const whole = writer.finish();
        const bytes = whole.subarray(0, whole.length - cut);
        const read = (decode: (bytes: Uint8Array) => unknown) => {
          try {
            return decode(bytes);
          } catch {
            return "not a deposit";
          }
        };
        const expected = read((each) => fromBinary(DepositSchema, each));
        expect(read(depositStream.codec.decode)).toEqual(expected);
      }),
      { numRuns: 2_000 },
    );
  });

  test("lets a good deposit in, with and without an id", () => {
    expect(depositStream.validate(good, record())).toBeNull();
    expect(depositStream.validate(good, record({ id: "order-7" }))).toBeNull();
    const largest = newDeposit({ amountMinor: MAX_AMOUNT_MINOR, acceptedAtMs: 0 });
    expect(depositStream.validate(largest, record())).toBeNull();
  });

  test.each([
    ["an empty wallet id", good, { key: "" }, "wallet_id must not be empty"],
    ["a long id", good, { id: "x".repeat(257) }, "id has 257"],
    ["no amount", newDeposit({ amountMinor: 0n, acceptedAtMs: 1 }), {}, "more than 0"],
    ["a negative one", newDeposit({ amountMinor: -1n, acceptedAtMs: 1 }), {}, "more than 0"],
    ["a time before 1970", newDeposit({ amountMinor: 1n, acceptedAtMs: -1 }), {}, "not a time"],
    ["a time ahead", good, { timestampMs: NOW_MS - MAX_AHEAD_MS - 1 }, "5 minutes ahead"],
  ])("refuses %s, whoever wrote it", (_, deposit, changes, problem) => {
    expect(depositStream.validate(deposit, record(changes))).toContain(problem);
  });

  test("refuses a time that no safe integer holds", () => {
    const deposit = { ...good, acceptedAtMs: 2n ** 62n };
    expect(depositStream.validate(deposit, record())).toContain("not a time");
  });
});
