import { afterAll, beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import { MAX_AMOUNT_MINOR, formatDecimal } from "../../src/money.ts";
import { MAX_BODY_BYTES } from "../../src/service/request-body.ts";
import type { Service } from "../../src/service/listening.ts";
import { ask, depositBody } from "./requests.ts";
import { type RunningApp, runApp } from "./running-app.ts";

let running: RunningApp;
let service: Service;

beforeAll(async () => {
  running = await runApp();
  service = running.app.createService({ allowHosts: [] });
});

afterAll(() => running.close());

const DEPOSIT_KEYS = ["deposit_id", "wallet_id", "amount", "position"];
const text = fc.string({ unit: "binary", maxLength: 140 });
const json = fc.json({ maxDepth: 4 });
const segment = fc.oneof(
  text.map((each) => encodeURIComponent(each.toWellFormed())),
  fc.stringMatching(/^[%0-9a-fA-F./~;=+&$,!'()*@:-]{0,40}$/),
);

test("no amount, wallet id or key makes the service fail", async () => {
  const amount = fc.oneof(json, text.map((each) => JSON.stringify(each)), text);
  await fc.assert(
    fc.asyncProperty(text, amount, fc.option(text), async (walletId, amountText, key) => {
      const headers: Record<string, string> =
        key === null ? {} : { "idempotency-key": Buffer.from(key).toString("hex") };
      const answer = await ask(service, "POST /deposit", {
        ...depositBody(walletId, amountText),
        headers,
      });
      expect(answer.status).toBeLessThan(500);
      const keys = answer.status === 200 ? DEPOSIT_KEYS : ["error", "code"];
      expect(Object.keys(answer.json as object)).toEqual(keys);
    }),
    { numRuns: 500 },
  );
});

/** Each is broken in another way, or is JSON that says something else. */
const BROKEN_BODIES = [
  "", " ", "{", "}", "{}", "[]", "[", "null", "true", "0", '"', '""', "NaN", "\u0000",
  "\ufeff{}", '{"wallet_id":"a","amount":1', '{"wallet_id":"a","amount":}',
  '{"wallet_id":"a","amount":1}}', '{"wallet_id":"a","amount":1},',
  '{"wallet_id":"a","amount":1}{"wallet_id":"a","amount":1}', '{"wallet_id":"a","amount":1,}',
  "{'wallet_id':'a','amount':1}", '{wallet_id:"a",amount:1}', '{"wallet_id":"a","amount":01}',
  '{"wallet_id":"a","amount":1.}', '{"wallet_id":"a","amount":.1}',
  '{"wallet_id":"a","amount":+1}', '{"wallet_id":"a","amount":-0}',
  '{"wallet_id":"a","amount":1e9}', '{"wallet_id":"a","amount":0x1}',
  '{"wallet_id":"a","amount":Infinity}', '{"wallet_id":"a","amount":1/**/}',
  '{"wallet_id":"a\\","amount":1}', '{"wallet_id":"\\u12","amount":1}',
  '{"wallet_id":"\\ud800","amount":1}', '{"wallet_id":"a\tb","amount":1}',
  '{"wallet_id":null,"amount":1}', '{"wallet_id":["a"],"amount":1}',
  '{"wallet_id":"a","amount":[1]}', '{"wallet_id":"a","amount":{"amount":1}}',
  '{"wallet_id":"a","wallet_id":"b","amount":1}', '{"wallet_id":"a","amount":1,"amount":2}',
  '{"__proto__":{"amount":1},"wallet_id":"a"}', '{"wallet_id":"a","amount":1,"constructor":1}',
  '{"toString":1,"wallet_id":"a","amount":1}', '{"wallet_id":"a","amount":""}',
  '{"wallet_id":"a","amount":" 1"}', '{"wallet_id":"a","amount":"1\\n"}',
  '{"wallet_id":"a","amount":"\u0661"}', '{"wallet_id":"a","amount":"1,0"}',
  `${"[".repeat(8_000)}${"]".repeat(8_000)}`, `{"wallet_id":${'{"a":'.repeat(3_000)}`,
  `{"wallet_id":"a","amount":${"9".repeat(16_000)}}`,
  `{"wallet_id":"a","amount":0.${"0".repeat(16_000)}1}`,
];

test("no broken body makes the service fail or counts", async () => {
  const before = await running.appended();
  for (const body of BROKEN_BODIES) {
    const answer = await ask(service, "POST /deposit", { body });
    expect([body.slice(0, 60), answer.status]).toEqual([body.slice(0, 60), 422]);
  }
  expect(await running.appended()).toBe(before);
});

test("no body of any size and bytes makes the service fail", async () => {
  const good = '{"wallet_id":"alice","amount":12.50}';
  const put = fc.string({ maxLength: 4 });
  const edit = fc.record({ at: fc.nat(good.length), drop: fc.nat(4), put });
  const edited = fc
    .array(edit, { minLength: 1, maxLength: 3 })
    .map((edits) =>
      edits.reduce((changed, each) => {
        return changed.slice(0, each.at) + each.put + changed.slice(each.at + each.drop);
      }, good),
    );
  const filled = fc
    .tuple(fc.nat(255), fc.nat(MAX_BODY_BYTES + 10))
    .map(([byte, length]) => new Uint8Array(length).fill(byte));
  const padded = fc.nat(MAX_BODY_BYTES).map((length) => good + " ".repeat(length));
  const body = fc.oneof(edited, padded, filled, fc.uint8Array({ maxLength: 400 }));
  await fc.assert(
    fc.asyncProperty(body, async (each) => {
      const answer = await ask(service, "POST /deposit", { body: each });
      expect([200, 413, 422]).toContain(answer.status);
    }),
    { numRuns: 500 },
  );
});

test("no path makes the service fail", async () => {
  const path = fc.array(segment, { maxLength: 4 }).map((parts) => `/${parts.join("/")}`);
  const known = segment.map((each) => `/check/${each}`);
  const feed = segment.map((each) => `/${each}/feed`);
  await fc.assert(
    fc.asyncProperty(fc.oneof(path, known, feed), async (each) => {
      const url = each.startsWith("//") ? `/check${each}` : each;
      const answer = await ask(service, `GET ${url}`);
      expect([200, 404, 405, 422]).toContain(answer.status);
    }),
    { numRuns: 500 },
  );
});

test("no position makes the service fail", async () => {
  const after = text.map((each) => `x${each}`.toWellFormed());
  await fc.assert(
    fc.asyncProperty(after, async (each) => {
      const line = `GET /check/alice?after=${encodeURIComponent(each)}`;
      expect((await ask(service, line)).status).toBe(422);
    }),
  );
});

test("every wallet id that was taken is found by its path, with the exact sum", async () => {
  const id = fc
    .string({ unit: "grapheme", minLength: 1, maxLength: 20 })
    .filter((each) => !/\p{Cc}/u.test(each) && !/^\.{1,2}$/.test(each));
  const amount = fc.bigInt({ min: 1n, max: MAX_AMOUNT_MINOR });
  const sums = new Map<string, bigint>();
  await fc.assert(
    fc.asyncProperty(id, amount, fc.boolean(), async (walletId, minor, isString) => {
      const decimal = formatDecimal(minor, 2);
      const answer = await ask(
        service,
        "POST /deposit",
        depositBody(walletId, isString ? `"${decimal}"` : decimal),
      );
      expect(answer.status).toBe(200);
      sums.set(walletId, (sums.get(walletId) ?? 0n) + minor);
      const { position } = answer.json as { position: string };
      const path = encodeURIComponent(walletId);
      const checked = await ask(service, `GET /${path}/feed?after=${position}`);
      const balance = /"balance":([0-9.]+),/.exec(checked.text)?.[1] ?? "";
      const [whole = "", fraction = ""] = balance.split(".");
      expect(BigInt(whole + fraction.padEnd(2, "0"))).toBe(sums.get(walletId) as bigint);
      expect(fraction).not.toEndWith("0");
    }),
    { numRuns: 200 },
  );
});
