/** Requests are counted by the router's own routes, whatever clients ask for. */

import { expect, test } from "bun:test";
import { newRoutes } from "../../src/service/listening.ts";
import {
  counting,
  DURATION_BOUNDS_S,
  RequestCounts,
  TIMED_OF_CHECKS,
  TIMED_OF_DEPOSITS,
} from "../../src/service/request-counts.ts";

const nothing = () => new Response();
const routes = newRoutes().post("/deposit", nothing).get("/check/:wallet_id", nothing);
const more = newRoutes().get("/flags/:wallet_id", nothing).post("/flags/:wallet_id", nothing);
const feeds = newRoutes().get("/:wallet_id/feed", nothing).all("*", nothing);
const counts = () => new RequestCounts([routes, more, feeds]);

test.each([
  ["http://a/deposit", "/deposit"],
  ["http://a/deposit?x=/check/a", "/deposit"],
  ["http://a/check/bob", "/check/{wallet_id}"],
  ["http://a/check/bob?after=0-1", "/check/{wallet_id}"],
  ["http://a/check/feed", "/check/{wallet_id}"],
  ["http://a/flags/a%2Fb", "/flags/{wallet_id}"],
  ["http://a/flags/feed", "/flags/{wallet_id}"],
  ["http://a/bob/feed", "/{wallet_id}/feed"],
  ["http://a/", "other"],
  ["http://a", "other"],
  ["http://a/deposit/", "other"],
  ["http://a/anything/else", "other"],
])("%s counts as %s", (url, route) => {
  expect(counts().of(url).route).toBe(route);
});

test("a thousand paths and methods make no more routes than there are", async () => {
  const requests = counts();
  const fetch = counting(requests, () => new Response(null, { status: 404 }));
  for (let i = 0; i < 1_000; i += 1) {
    await fetch({ url: `http://a/${i}/x`, method: `M${i}` } as Request);
    await fetch(new Request(`http://a/${i}/feed`));
  }
  const told = requests.routes().map(({ route, answers }) => [route, answers]);
  expect(told).toEqual([
    ["/{wallet_id}/feed", [{ method: "GET", status: 404, count: 1_000 }]],
    ["other", [{ method: "other", status: 404, count: 1_000 }]],
  ]);
});

test("each answer counts, at once or later; of busy routes some are timed", async () => {
  const requests = counts();
  let status = 200;
  const later = counting(requests, async () => new Response(null, { status }));
  for (let i = 0; i <= TIMED_OF_DEPOSITS; i += 1) {
    if (i === TIMED_OF_DEPOSITS) status = 409;
    const request = new Request("http://a/deposit", { method: "POST" });
    expect((await later(request)).status).toBe(status);
  }
  const atOnce = counting(requests, () => new Response());
  for (let i = 0; i <= TIMED_OF_CHECKS; i += 1) {
    expect(atOnce(new Request("http://a/check/a"))).toBeInstanceOf(Response);
  }
  const [deposit, check] = ["/deposit", "/check/a"].map((path) => requests.of(`http://a${path}`));
  expect(deposit?.answers).toEqual([
    { method: "POST", status: 200, count: TIMED_OF_DEPOSITS },
    { method: "POST", status: 409, count: 1 },
  ]);
  const timed = (of: typeof check) => of?.durations[0]?.buckets.reduce((sum, n) => sum + n, 0);
  expect(timed(deposit)).toBe(2);
  expect(check?.answers).toEqual([{ method: "GET", status: 200, count: TIMED_OF_CHECKS + 1 }]);
  expect(timed(check)).toBe(2);
});

test("a duration stands in the first bucket that it does not exceed", () => {
  const route = counts().of("http://a/deposit");
  for (const seconds of [0, 0.001, 0.001_1, 10, 11]) route.took("POST", seconds);
  const buckets = DURATION_BOUNDS_S.map(() => 0).concat(0);
  buckets[0] = 2;
  buckets[1] = 1;
  buckets[buckets.length - 2] = 1;
  buckets[buckets.length - 1] = 1;
  expect(route.durations).toEqual([{ method: "POST", sumS: expect.closeTo(21.002_1), buckets }]);
});
