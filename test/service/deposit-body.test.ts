import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseDepositBody } from "../../src/service/deposit-body.ts";
import { MAX_BODY_BYTES, readBody } from "../../src/service/request-body.ts";
import { ServiceError } from "../../src/service/problem.ts";
import { rejection } from "../rejection.ts";

const parse = (text: string) => parseDepositBody(Buffer.from(text));

describe("a body", () => {
  test.each([
    ['{"wallet_id":"a","amount":2000}', "a", "2000"],
    ['{"wallet_id":"a","amount":"2000"}', "a", "2000"],
    ['{"amount":12.50,"wallet_id":"a"}', "a", "12.50"],
    ['\r\n\t {"wallet_id" : "a" ,\n "amount" : 1 } \n', "a", "1"],
    ['{"wallet_id":"a,b:{}\\",\\"amount","amount":"1,5"}', 'a,b:{}","amount', "1,5"],
    ['{"wallet\\u005fid":"\\u00e9\\ud83d\\ude00","amount":1}', "é😀", "1"],
    ['{"wallet_id":"a","amount":1.000000000000000005}', "a", "1.000000000000000005"],
    ['{"wallet_id":"a","amount":90071992547409.93}', "a", "90071992547409.93"],
    ['{"wallet_id":"a","amount":1e400}', "a", "1e400"],
    ['{"wallet_id":"a","amount":-0.0}', "a", "-0.0"],
    ['{"wallet_id":"","amount":""}', "", ""],
  ])("%p gives what it says, digit by digit", (text, walletId, amountText) => {
    expect(parse(text)).toEqual({ walletId, amountText });
  });

  test("gives any number's own text", () => {
    const digits = fc.stringMatching(
      /^-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?$/,
    );
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), digits, (walletId, amount) => {
        const text = `{"wallet_id":${JSON.stringify(walletId)},"amount":${amount}}`;
        expect(parse(text)).toEqual({ walletId, amountText: amount });
      }),
    );
  });

  test("means the same however it is spaced, or is refused the same", () => {
    const outcome = (text: string) => {
      try {
        return parse(text);
      } catch (error) {
        return (error as ServiceError).message;
      }
    };
    const part = fc.oneof(
      fc.constantFrom(
        "a", "", '"', "\\u0061", "\\", "\0", "\u007f",
        "é", "1", "01", "1.", "-1", "1e2",
      ),
      fc.string(),
    );
    const amount = fc.oneof(part, part.map((text) => `"${text}"`));
    fc.assert(
      fc.property(part, amount, fc.constantFrom("", "  ", "x"), (walletId, amountText, end) => {
        const text = `{"wallet_id":"${walletId}","amount":${amountText}}${end}`;
        expect(outcome(text)).toEqual(outcome(`\n${text}`));
      }),
    );
  });

  const refused = [
    ["", "the body is empty"],
    ["   ", "not valid JSON"],
    ["wallet_id=a&amount=1", "not valid JSON"],
    ['{"wallet_id":"a","amount":1', "not valid JSON"],
    ['{"wallet_id":"a","amount":1}}', "not valid JSON"],
    ['{"wallet_id":"a","amount":1,}', "not valid JSON"],
    ['{"wallet_id":"a","amount":01}', "not valid JSON"],
    ['{"wallet_id":"a","amount":.5}', "not valid JSON"],
    ['{"wallet_id":"a","amount":+1}', "not valid JSON"],
    ['{"wallet_id":"a","amount":NaN}', "not valid JSON"],
    ["{'wallet_id':'a','amount':1}", "not valid JSON"],
    ['{"wallet_id":"a\nb","amount":1}', "not valid JSON"],
    ['\ufeff{"wallet_id":"a","amount":1}', "not valid JSON"],
    ["[".repeat(8_000), "not valid JSON"],
    [`${"[".repeat(8_000)}${"]".repeat(8_000)}`, "the body"],
    [`${'{"wallet_id":'.repeat(1_000)}1${"}".repeat(1_000)}`, "wallet_id must be a string"],
    ["null", "must be a JSON object"],
    ["true", "must be a JSON object"],
    ["12.5", "must be a JSON object"],
    ['"a"', "must be a JSON object"],
    ['[{"wallet_id":"a","amount":1}]', "must be a JSON object"],
    ["{}", "wallet_id is missing"],
    ['{"amount":1}', "wallet_id is missing"],
    ['{"wallet_id":"a"}', "amount is missing"],
    ['{"wallet_id":1,"amount":1}', "wallet_id must be a string"],
    ['{"wallet_id":null,"amount":1}', "wallet_id must be a string"],
    ['{"wallet_id":["a"],"amount":1}', "wallet_id must be a string"],
    ['{"wallet_id":"a","amount":null}', "amount must be a number or a string"],
    ['{"wallet_id":"a","amount":true}', "amount must be a number or a string"],
    ['{"wallet_id":"a","amount":[1]}', "amount must be a number or a string"],
    ['{"wallet_id":"a","amount":{"text":"1"}}', "amount must be a number or a string"],
    ['{"wallet_id":"a","amount":1,"amount":2}', "given once"],
    ['{"wallet_id":"a","amount":1,"amount":1}', "given once"],
    ['{"wallet_id":"a","wallet_id":"a","amount":"1"}', "given once"],
    ['{"wallet_id":"b","wallet_id":"a","amount":"1"}', "given once"],
    ['{"wallet_id":"a","amount":1,"amo\\u0075nt":1}', "given once"],
    ['{"wallet_id":"a","amount":{"x":2},"amount":1}', "given once"],
    ['{"wallet_id":"a","amount":1,"currency":"EUR"}', 'the key "currency" is not known'],
    ['{"wallet_id":"a","amount":1,"Amount":1}', 'the key "Amount" is not known'],
    ['{"wallet_id":"a","amount":1,"__proto__":{}}', 'the key "__proto__" is not known'],
    ['{"__proto__":{"wallet_id":"a","amount":1}}', "wallet_id is missing"],
    ['{"wallet_id":"a","amount":1,"":2}', 'the key "" is not known'],
    ['{"wallet_id":"a","amount":1,"constructor":1}', 'the key "constructor" is not known'],
  ] as const;
  test.each(refused)("%p is refused", (text, message) => {
    expect(() => parse(text)).toThrow(ServiceError);
    expect(() => parse(text)).toThrow(message);
  });

  test.each([
    ["a lone continuation byte", [0x80]],
    ["an overlong slash", [0xc0, 0xaf]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
    ["a cut character", [0xf0, 0x9f, 0x98]],
    ["Latin-1", [0xe9]],
  ])("with %s is not valid UTF-8", (_what, bytes) => {
    const body = Buffer.concat([
      Buffer.from('{"wallet_id":"'),
      Buffer.from(bytes),
      Buffer.from('","amount":1}'),
    ]);
    expect(() => parseDepositBody(body)).toThrow("not valid UTF-8");
  });

  test("of any bytes is read or refused, never anything else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          parseDepositBody(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(ServiceError);
        }
      }),
    );
  });
});

describe("reading a body", () => {
  type Body = Uint8Array | ReadableStream | null;
  const request = (body: Body, headers: Record<string, string> = {}) =>
    new Request("http://localhost/deposit", { method: "POST", body, headers });
  const chunks = (sizes: readonly number[]) => {
    let pulled = 0;
    const stream = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        const size = sizes[pulled];
        if (size === undefined) return controller.close();
        pulled += 1;
        controller.enqueue(new Uint8Array(size));
      },
    });
    return { stream, pulled: () => pulled };
  };

  test("takes exactly the limit", async () => {
    const whole = new Uint8Array(MAX_BODY_BYTES);
    const declared = { "content-length": String(MAX_BODY_BYTES) };
    expect(await readBody(request(whole, declared))).toHaveLength(MAX_BODY_BYTES);
    expect(await readBody(request(whole))).toHaveLength(MAX_BODY_BYTES);
    const { stream } = chunks([MAX_BODY_BYTES - 1, 1]);
    expect(await readBody(request(stream))).toHaveLength(MAX_BODY_BYTES);
  });

  test("refuses one byte more, declared, undeclared or declared as less", async () => {
    const over = new Uint8Array(MAX_BODY_BYTES + 1);
    for (const declared of [String(over.length), "10", null]) {
      const headers = declared === null ? {} : { "content-length": declared };
      expect((await rejection(readBody(request(over, headers)))).message).toContain(
        "over 16384 bytes",
      );
    }
  });

  test("stops reading when it is too long", async () => {
    const { stream, pulled } = chunks(Array.from({ length: 1_000 }, () => 4_096));
    expect((await rejection(readBody(request(stream)))).message).toContain("over 16384 bytes");
    expect(pulled()).toBeLessThan(20);
  });

  test("takes none as empty", async () => {
    expect(await readBody(request(null))).toHaveLength(0);
  });
});
