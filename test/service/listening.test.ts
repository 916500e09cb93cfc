/** A service before its log can be reached, and the one that takes its place on the server. */

import { expect, test } from "bun:test";
import { createStartingService, listening, newRoutes } from "../../src/service/listening.ts";
import { linesOfTheLog } from "./log-lines.ts";

const access = { allowHosts: [] };
const delay = (_ms: number, signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });

test("a starting service is alive, and says of all else why it cannot do it yet", async () => {
  let problem = "no broker answers";
  const service = createStartingService({ ...access, delay, problem: () => problem });
  const ask = (path: string, more = {}) => {
    const headers = { host: "localhost", ...more };
    return service.fetch(new Request(`http://localhost${path}`, { headers }));
  };
  const alive = await ask("/healthz");
  expect([alive.status, await alive.json()]).toEqual([200, { status: "ok" }]);
  for (const path of ["/readyz", "/check/alice", "/deposit", "/nowhere"]) {
    const answer = await ask(path);
    expect([path, answer.status, answer.headers.get("retry-after")]).toEqual([path, 503, "1"]);
    expect(await answer.json()).toEqual({ error: problem, code: "log_unavailable" });
  }
  problem = "still none";
  expect(await (await ask("/readyz")).json()).toMatchObject({ error: "still none" });
  expect((await ask("/readyz", { origin: "http://elsewhere.example" })).status).toBe(403);
});

test("a starting service that is probed logs none of it", async () => {
  using told = linesOfTheLog();
  const service = createStartingService({ ...access, delay, problem: () => "no broker answers" });
  const ask = (path: string) =>
    service.fetch(new Request(`http://localhost${path}`, { headers: { host: "localhost" } }));
  await ask("/readyz");
  expect(told.lines).toEqual([]);
  await ask("/check/alice");
  expect(told.lines).toEqual(["warning refused with log_unavailable: no broker answers"]);
});

test("another service answers from then on, is watched and abandoned in its place", async () => {
  const events: string[] = [];
  const named = (name: string) =>
    listening([newRoutes().get("/", (c) => c.text(name))], {
      ...access,
      delay,
      watch: async (signal) => {
        events.push(`${name} is watched`);
        signal.addEventListener("abort", () => events.push(`${name} is not watched any more`));
      },
      abandon: () => events.push(`${name} is abandoned`),
    });
  const server = named("first").listen({ host: "127.0.0.1", port: 0 });
  const answer = async () => (await fetch(server.url)).text();
  expect(await answer()).toBe("first");
  server.use(named("second"));
  expect(await answer()).toBe("second");
  expect(events).toEqual(["first is watched", "second is watched"]);
  await server.stop();
  expect(events.slice(2).toSorted()).toEqual([
    "first is not watched any more",
    "second is not watched any more",
  ]);
});
