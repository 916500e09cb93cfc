/** What a load asks for: the shares, wallets and amounts that its plan names. */

import { expect, test } from "bun:test";
import { type LoadRequest, Requests } from "../../../src/proof/load/requests.ts";
import { planOf } from "./plan.ts";

const MANY = 20_000;

test("the same seed asks the same again, but for the keys", () => {
  const plan = planOf({ hasKeys: true, seed: 7, mix: { deposit: 3, check: 1 } });
  const [first, second] = [take(new Requests(plan), 200), take(new Requests(plan), 200)];
  expect(first.map(facts)).toEqual(second.map(facts));
  const keys = [...first, ...second].flatMap(({ text }) => /Key: (\S+)/.exec(text)?.[1] ?? []);
  expect(new Set(keys).size).toBe(keys.length);
  expect(keys.length).toBeGreaterThan(200);
});

test("each kind has its share, within what chance does", () => {
  const asked = take(new Requests(planOf({ mix: { deposit: 7, check: 2, settle: 1 } })), MANY);
  const share = (kind: string) => asked.filter((each) => each.kind === kind).length / MANY;
  expect(share("deposit")).toBeCloseTo(0.7, 1);
  expect(share("check")).toBeCloseTo(0.2, 1);
  expect(share("settle")).toBeCloseTo(0.1, 1);
});

test("with a skew of 1 the first wallet is named ten times as often as the tenth", () => {
  const asked = take(new Requests(planOf({ wallets: 100, skew: 1 })), MANY);
  const count = (wallet: string) => asked.filter((each) => each.wallet === wallet).length;
  const ratio = count("load-0000000") / count("load-0000009");
  expect(ratio).toBeGreaterThan(8);
  expect(ratio).toBeLessThan(12.5);
  expect(new Set(asked.map(({ wallet }) => wallet)).size).toBe(100);
});

test("amounts reach from the least to the most, and nowhere else", () => {
  const amounts = { leastMinor: 5n, mostMinor: 8n, decimals: 1 };
  const asked = take(new Requests(planOf({ amounts })), 200);
  const written = new Set(asked.map(({ text }) => /"amount":"([^"]+)"/.exec(text)?.[1] ?? ""));
  expect([...written].toSorted()).toEqual(["0.5", "0.6", "0.7", "0.8"]);
});

function take(requests: Requests, count: number): LoadRequest[] {
  return Array.from({ length: count }, () => requests.next());
}

function facts({ kind, wallet, amountMinor }: LoadRequest) {
  return { kind, wallet, amountMinor };
}
