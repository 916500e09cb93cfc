import { describe, expect, test } from "bun:test";
import { DepositError } from "../../src/deposits/deposit-error.ts";
import { idempotencyKey } from "../../src/service/idempotency-key.ts";

/** As a server gets it: one character a byte. */
function received(value: string): Headers {
  return new Headers({ "idempotency-key": Buffer.from(value, "utf8").toString("latin1") });
}

describe("the Idempotency-Key", () => {
  test("may be left out", () => {
    expect(idempotencyKey(new Headers())).toBeNull();
  });

  test.each([
    ["k1", "k1"],
    ['"k1"', "k1"],
    ["8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"],
    ["a b;c=1", "a b;c=1"],
    ['"a, b"', "a, b"],
    ['"a\\"b\\\\c"', 'a"b\\c'],
    ["schlüssel-ключ-🔑", "schlüssel-ключ-🔑"],
    ['"schlüssel"', "schlüssel"],
  ])("%p is %p", (value, key) => {
    expect(idempotencyKey(received(value))).toBe(key);
  });

  test.each(['""', '"', '"a', 'a"', '"a"b"', '"a";x=1', '"a\\', '"a\\x"', "a, b", '"a", "b"', ""])(
    "%p is refused",
    (value) => {
      const attempt = () => idempotencyKey(received(value));
      expect(attempt).toThrow(DepositError);
      expect(attempt).toThrow("Idempotency-Key");
    },
  );

  test("that is too long or has control characters is told by the header's name", () => {
    const long = "Idempotency-Key has 258 UTF-8 bytes; at most 256 are allowed";
    expect(idempotencyKey(received("x".repeat(256)))).toHaveLength(256);
    expect(() => idempotencyKey(received("ü".repeat(129)))).toThrow(long);
    expect(() => idempotencyKey(received(`"${"x".repeat(258)}"`))).toThrow(long);
    const control = "Idempotency-Key must not have control characters";
    expect(() => idempotencyKey(received("a\u0085b"))).toThrow(control);
  });

  test("given twice is refused", () => {
    const headers = new Headers([
      ["idempotency-key", "a"],
      ["idempotency-key", "b"],
    ]);
    expect(() => idempotencyKey(headers)).toThrow("once");
  });

  test("must be UTF-8", () => {
    expect(() => idempotencyKey(new Headers({ "idempotency-key": "\xff" }))).toThrow("UTF-8");
  });
});
