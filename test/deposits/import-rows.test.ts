import { describe, expect, test } from "bun:test";
import { readCsvHeader, readCsvLines } from "../../src/deposits/import-csv.ts";
import { readJsonLine } from "../../src/deposits/import-json.ts";
import { MAX_AHEAD_MS } from "../../src/deposits/deposit.ts";

const NOW_MS = 1_790_000_000_000;
const RULES = { decimals: 2, nowMs: NOW_MS };
const ROW = { walletId: "alice", amountMinor: 1_250n, acceptedAtMs: 1_000, id: null };

function csv(header: string, ...lines: string[]) {
  const read = readCsvHeader(header);
  if (typeof read === "string") throw new TypeError(read);
  return readCsvLines(lines, read, RULES);
}

describe("CSV", () => {
  test("takes columns in any order, with and without quotes, with and without id", () => {
    const quoted = '"1000","inv ""7"", late","alice","12.50"';
    expect(csv("accepted_at,id,wallet_id,amount", quoted, "1000,,alice,12.50", "")).toEqual([
      { ...ROW, id: 'inv "7", late' },
      ROW,
      null,
    ]);
    expect(csv('"wallet_id","amount","accepted_at"\r', "alice,12.50,1000\r")).toEqual([ROW]);
  });

  test("names what is wrong with a header", () => {
    expect(readCsvHeader("wallet_id,amount,accepted_at,note")).toContain('a column "note"');
    expect(readCsvHeader("wallet_id,amount,amount,accepted_at")).toContain("amount twice");
    expect(readCsvHeader("wallet_id,amount")).toContain("no column accepted_at");
    expect(readCsvHeader("wallet_id;amount;accepted_at")).toContain("wallet_id;amount");
  });

  test("a quote that is never closed spoils its own line alone", () => {
    const lines = ['"alice,12.50,1000', "alice,12.50,1000", '"alice",12.50,1000', 'a"b,12.50,1000'];
    expect(csv("wallet_id,amount,accepted_at", ...lines)).toEqual([
      expect.stringContaining("does not end on the line"),
      ROW,
      ROW,
      expect.stringContaining("quote out of place"),
    ]);
  });

  test("two broken lines that fit together are not one good row", () => {
    const found = csv("wallet_id,amount,accepted_at", '"ali', 'ce",12.50,1000');
    expect(found).toEqual([expect.any(String), expect.any(String)]);
  });

  test("a row has as many fields as the header", () => {
    const rows = ["alice;12.50;1000", "alice,12.50", "alice,12.50,1000,"];
    expect(csv("wallet_id,amount,accepted_at", ...rows)).toEqual([
      "has 1 field where the header has 3",
      "has 2 fields where the header has 3",
      "has 4 fields where the header has 3",
    ]);
  });
});

describe("NDJSON", () => {
  test("takes members in any order, amounts as number or string, by their source text", () => {
    const read = (line: string) => readJsonLine(line, RULES);
    expect(read('{"wallet_id":"alice","amount":12.50,"accepted_at":1000}')).toEqual(ROW);
    const spaced = ' { "accepted_at" : "1000" , "amount" : "12.5" , "wallet_id" : "alice" } \r';
    expect(read(spaced)).toEqual(ROW);
    expect(
      read('{"wallet_id":"\\u0061lice","amount":12.5,"accepted_at":1000,"id":"a\\"b"}'),
    ).toEqual({ ...ROW, id: 'a"b' });
    expect(read("  \t")).toBeNull();
  });

  test.each([
    ['{"wallet_id":"a","amount":1,"amount":1,"accepted_at":1}', "twice"],
    ['{"wallet_id":"a","amount":1,"\\u0061mount":1,"accepted_at":1}', "twice"],
    ['{"wallet_id":"a","amount":1,"accepted_at":1,"__proto__":"x"}', "no known member"],
    ['{"wallet_id":"a","\\u001b[2J":"x"}', '"\\u001b[2J" is no known member'],
    ['{"\\u001b[2J":"\\x"}', '"\\u001b[2J" has a malformed string'],
    ['{"wallet_id":"a","amount":1,"accepted_at":1,"note":"x"}', '"note" is no known member'],
    ['{"wallet_id":"a","amount":1.005,"accepted_at":1}', "decimals"],
    ['{"wallet_id":"a","amount":1.000000000000000005,"accepted_at":1}', "decimals"],
    ['{"wallet_id":"a","amount":1e2,"accepted_at":1}', "exponent"],
    ['{"wallet_id":"a","amount":-1,"accepted_at":1}', "amount must be more than 0"],
    ['{"wallet_id":"a","amount":0,"accepted_at":1}', "amount must be more than 0"],
    ['{"wallet_id":"a","amount":true,"accepted_at":1}', "amount must be a number or a string"],
    ['{"wallet_id":"a","amount":01,"accepted_at":1}', "no well-formed JSON"],
    ['{"wallet_id":"a","amount":1,"accepted_at":null}', "accepted_at must be a number"],
    ['{"wallet_id":"a","amount":1,"accepted_at":"yesterday"}', "RFC 3339"],
    [`{"wallet_id":"a","amount":1,"accepted_at":${NOW_MS + MAX_AHEAD_MS + 1}}`, "5 minutes ahead"],
    ['{"wallet_id":7,"amount":1,"accepted_at":1}', "wallet_id must be a string"],
    ['{"wallet_id":"","amount":1,"accepted_at":1}', "wallet_id must not be empty"],
    ['{"wallet_id":"\\ud800","amount":1,"accepted_at":1}', "surrogate"],
    ['{"wallet_id":"a\\u0000","amount":1,"accepted_at":1}', "control characters"],
    ['{"wallet_id":"a","amount":1,"accepted_at":1,"id":""}', "id must not be empty"],
    ['{"wallet_id":"a","amount":1,"accepted_at":1,"id":7}', "id must be a string"],
    ['{"amount":1,"accepted_at":1}', "wallet_id is missing"],
    ['{"wallet_id":"a","accepted_at":1}', "amount is missing"],
    ['{"wallet_id":"a","amount":1}', "accepted_at is missing"],
    ['{"wallet_id":{"x":1},"amount":1,"accepted_at":1}', "without objects or arrays"],
    ["{}", "wallet_id is missing"],
    ['{"wallet_id":"a","amount":1,"accepted_at":1,}', "no well-formed JSON"],
    ['{"wallet_id":"a","amount":1,"accepted_at":1}x', "no well-formed JSON"],
    ['{"wallet_id":"a","amount":1,"accepted_at":1', "no well-formed JSON"],
    ['{"wallet_id":"\\x","amount":1,"accepted_at":1}', "malformed"],
    ['["a",1,1]', "without objects or arrays"],
    ["alice,1,1", "no well-formed JSON"],
  ])("refuses %p", (line, problem) => {
    expect(readJsonLine(line, RULES)).toEqual(expect.stringContaining(problem));
  });
});
