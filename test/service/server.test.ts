import { afterEach, describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { DECISION_TIMEOUT_MS } from "../../src/deposits/decisions.ts";
import { type RunningServer, ServerError, startServer } from "../../src/service/server.ts";
import { SETTLING_TIMEOUT_MS } from "../../src/service/settled-reads.ts";
import { closeApps, runApp, type RunOptions, Timers, within } from "./running-app.ts";
import { rejection } from "../rejection.ts";

const servers: RunningServer[] = [];
const HOST = "127.0.0.1";

async function serve(options: RunOptions = {}) {
  const running = await runApp(options);
  const server = running.app.createService({ allowHosts: [] }).listen({ host: HOST, port: 0 });
  servers.push(server);
  return { ...running, server };
}

afterEach(async () => {
  for (const each of servers.splice(0)) await within(each.stop());
  await closeApps();
});

const DRIP_EVERY_MS = 200;
const POST = "POST /deposit HTTP/1.1\r\nHost: localhost\r\n";
const DEPOSIT = { method: "POST", body: '{"wallet_id":"alice","amount":1}' };

describe("a server", () => {
  test("answers at the address that it names", async () => {
    const { server } = await serve();
    expect(server.url).toBe(`http://127.0.0.1:${server.port}`);
    const posted = await fetch(`${server.url}/deposit`, DEPOSIT);
    const { position } = (await posted.json()) as { position: string };
    const checked = await fetch(`${server.url}/check/alice?after=${position}`);
    expect(await checked.json()).toEqual({
      wallet_id: "alice",
      balance: 1,
      above_threshold: false,
    });
  });

  test("says so when its port is taken", async () => {
    const { app, server } = await serve({ processors: [] });
    const service = app.createService({ allowHosts: [] });
    const listen = () => service.listen({ host: HOST, port: server.port });
    expect(listen).toThrow(ServerError);
    expect(listen).toThrow(`port ${server.port} of 127.0.0.1 is taken`);
  });

  test("says so when the address is not of this machine", async () => {
    const { app } = await serve({ processors: [] });
    const service = app.createService({ allowHosts: [] });
    const listen = () => service.listen({ host: "192.0.2.1", port: 0 });
    expect(listen).toThrow("choose others with --host and --port");
    const unknown = () => service.listen({ host: "nowhere.invalid", port: 0 });
    expect(unknown).toThrow("this machine has no such address, or the port needs rights");
    const health = { host: "192.0.2.1", port: 0, portOption: "--health" };
    expect(() => service.listen(health)).toThrow("choose another with --health");
  });

  test("refuses a body over the limit as JSON, announced or in chunks, and goes on", async () => {
    const { server } = await serve({ processors: [] });
    const announced = `${POST}Content-Length: 100000\r\n\r\n`;
    const chunks = chunkOf("x".repeat(8_192)).repeat(3);
    const chunked = `${POST}Transfer-Encoding: chunked\r\n\r\n${chunks}`;
    for (const text of [announced, chunked]) {
      const answer = await raw(server, text, '"body_too_large"}');
      expect(answer).toStartWith("HTTP/1.1 413 ");
      expect(answer).toContain('{"error":"the body is over 16384 bytes","code":"body_too_large"}');
    }
    expect((await fetch(`${server.url}/deposit`, DEPOSIT)).status).toBe(200);
  });

  test("takes a deposit in chunks", async () => {
    const { server } = await serve({ processors: [] });
    const [head, tail] = [DEPOSIT.body.slice(0, 10), DEPOSIT.body.slice(10)];
    const chunks = [head, tail, ""].map(chunkOf).join("");
    const text = `${POST}Transfer-Encoding: chunked\r\n\r\n${chunks}`;
    expect(await raw(server, text, "position")).toStartWith("HTTP/1.1 200 ");
  });

  const foreign = [
    ["a foreign host", "GET /check/alice HTTP/1.1\r\nHost: evil.example\r\n\r\n"],
    ["two hosts", "GET /check/alice HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"],
    ["a host that is no name", "GET /check/alice HTTP/1.1\r\nHost: evil#@localhost\r\n\r\n"],
    ["no host, as HTTP/1.0 allows", "GET /check/alice HTTP/1.0\r\n\r\n"],
    [
      "a foreign origin",
      "GET /check/alice HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n",
    ],
  ] as const;
  test.each(foreign)("refuses %s", async (_what, text) => {
    const { server } = await serve({ processors: [] });
    expect(await raw(server, text, '"code":"foreign_')).toStartWith("HTTP/1.1 403 ");
  });
});

describe("a stop", () => {
  test("lets what waits be answered, and takes no more", async () => {
    const { app, server, timers } = await serve({ processors: [] });
    const headers = { "idempotency-key": "k" };
    const posted = fetch(`${server.url}/deposit`, { ...DEPOSIT, headers });
    await timers.whenWaiting(DECISION_TIMEOUT_MS);
    const stopped = server.stop();
    await rejection(fetch(`${server.url}/healthz`));
    const [collector] = app.startProcessors(["collector"]);
    expect((await within(posted)).status).toBe(200);
    await within(stopped);
    await collector?.stop();
  });

  test("ends waits for processors that are away, before 5 s", async () => {
    const { server, timers } = await serve({ processors: [] });
    const headers = { "idempotency-key": "k" };
    const posted = fetch(`${server.url}/deposit`, { ...DEPOSIT, headers });
    await timers.whenWaiting(DECISION_TIMEOUT_MS);
    const checked = fetch(`${server.url}/check/alice?after=1-0`);
    await timers.whenWaiting(SETTLING_TIMEOUT_MS, 2);
    const stopped = server.stop();
    timers.pass(3_000);
    expect((await within(posted)).status).toBe(503);
    expect((await within(checked)).status).toBe(504);
    await within(stopped);
  });

  test("does not wait for an idle connection", async () => {
    const { server } = await serve({ processors: [] });
    const socket = connect(server.port, HOST);
    socket.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await within(received(socket, "ok"));
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    await within(server.stop());
    await within(closed);
  });

  test("can be asked for twice", async () => {
    const { server } = await serve({ processors: [] });
    await within(Promise.all([server.stop(), server.stop()]));
    await within(server.stop());
  });
});

test("closes a connection that says no more, or a byte now and then", async () => {
  const fetch = async (request: Request) => new Response(await request.text());
  const { delay } = new Timers();
  const options = { host: HOST, port: 0, idleTimeoutS: 1, fetch, abandon: () => {}, delay };
  const server = startServer(options);
  servers.push(server);
  const beginnings = [
    "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    `${POST}Content-Length: 100\r\n\r\n{`,
    `${POST}Transfer-Encoding: chunked\r\n\r\n`,
  ];
  const closed = beginnings.map((text, number) => {
    const socket = connect(server.port, HOST, () => socket.write(text));
    const drip = setInterval(() => number > 0 && socket.write("1\r\n"), DRIP_EVERY_MS);
    socket.on("error", () => {}); // a reset
    socket.resume();
    return new Promise<void>((resolve) => socket.once("close", () => resolve())).finally(() =>
      clearInterval(drip),
    );
  });
  await within(Promise.all(closed));
});

function chunkOf(text: string): string {
  return `${text.length.toString(16)}\r\n${text}\r\n`;
}

/** What comes until `end` is in it. */
async function raw(server: RunningServer, text: string, end: string): Promise<string> {
  const socket = connect(server.port, HOST);
  socket.write(text);
  const answer = await within(received(socket, end));
  socket.destroy();
  return answer;
}

function received(socket: Socket, end: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8");
      if (text.includes(end)) resolve(text);
    });
    socket.once("error", reject);
    socket.once("close", () => reject(new Error(`closed after ${JSON.stringify(text)}`)));
  });
}
