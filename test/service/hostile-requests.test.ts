/** Raw requests to a real server: none makes it fail, and none is read as two. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { connect } from "node:net";
import type { RunningServer } from "../../src/service/server.ts";
import { ANSWERED, REFUSED, SMUGGLED_WALLET } from "./hostile-requests.ts";
import { linesOfTheLog } from "./log-lines.ts";
import { type RunningApp, runApp, within } from "./running-app.ts";

const HOST = "127.0.0.1";
const LAST = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/** Of the parser: what it cannot read, or will not. */
const PARSER_REFUSES = [400, 413, 431, 505];

let running: RunningApp;
let server: RunningServer;

beforeAll(async () => {
  running = await runApp({ processors: [] });
  server = running.app.createService({ allowHosts: [] }).listen({ host: HOST, port: 0 });
});

afterAll(async () => {
  await server.stop();
  await running.close();
});

describe("refused, and the connection closed", () => {
  test.each(REFUSED.map(({ name, bytes }) => [name, bytes] as const))("%s", async (_, bytes) => {
    const before = await running.appended();
    const { statuses, text } = await exchange(bytes);
    expect(statuses.length).toBeLessThanOrEqual(1);
    for (const status of statuses) expect(PARSER_REFUSES).toContain(status);
    expect(text).not.toContain(SMUGGLED_WALLET);
    expect(await running.appended()).toBe(before);
  });
});

describe("answered once, and the next request is read as it was meant", () => {
  const rows = ANSWERED.map(({ name, status, bytes }) => [name, status, bytes] as const);
  test.each(rows)("%s: %i", async (_, status, bytes) => {
    const { statuses, text } = await exchange(bytes);
    expect(statuses).toEqual([status, 200]);
    expect(text).not.toContain(SMUGGLED_WALLET);
    expect(text).toContain('"ready":true');
  });
});

test("no tunnel is opened", async () => {
  const connecting = "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n";
  expect((await exchange(connecting, { isEnded: true })).statuses).toEqual([404]);
});

test("requests sent ahead are answered in their order", async () => {
  const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
  const { statuses, text } = await exchange(`${get("/check/a")}${get("/check/b")}${get("/x")}`);
  expect(statuses).toEqual([200, 200, 404, 200]);
  expect(text.indexOf('"a"')).toBeLessThan(text.indexOf('"b"'));
});

test("no change of a byte or two makes it fail", async () => {
  const known = fc.constantFrom(...[...REFUSED, ...ANSWERED].map(({ bytes }) => bytes));
  const edit = fc.record({ at: fc.nat(300), drop: fc.nat(3), put: fc.string({ maxLength: 3 }) });
  const edits = fc.array(edit, { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(known, edits, async (bytes, changes) => {
      const changed = changes.reduce(
        (text, { at, drop, put }) => text.slice(0, at) + put + text.slice(at + drop),
        bytes.slice(0, 1_000),
      );
      const { statuses } = await exchange(changed, { isEnded: true });
      for (const status of statuses) expect(status < 500 || status === 505).toBe(true);
    }),
    { numRuns: 300 },
  );
  expect((await exchange("")).statuses).toEqual([200]);
});

test("a client that leaves in the middle of a body is not the service's failure", async () => {
  using told = linesOfTheLog();
  const head = "POST /deposit HTTP/1.1\r\nHost: localhost\r\n";
  for (const rest of ["Content-Length: 100\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n1\r\n{"]) {
    await exchange(head + rest, { isEnded: true });
  }
  expect((await exchange("")).statuses).toEqual([200]);
  expect(told.lines).toEqual([]);
});

/**
 * What comes back until the server closes. Behind the first answer one more request is sent, which
 * asks for that; `isEnded`: the client has said all that it has to say.
 */
async function exchange(bytes: string, { isEnded = false } = {}) {
  const socket = connect(server.port, HOST);
  let text = "";
  let isAsked = bytes === "";
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.on("error", () => {}); // a reset, when the server has not read all
  socket.on("data", (data: Buffer) => {
    text += data.toString("latin1");
    if (isAsked || isEnded) return;
    isAsked = true;
    socket.write(LAST);
  });
  const first = Buffer.from(bytes === "" ? LAST : bytes, "latin1");
  if (isEnded) socket.end(first);
  else socket.write(first);
  await within(closed);
  const statuses = [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status));
  return { statuses, text };
}
