import { expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { readFileSync } from "node:fs";
import { HttpConnection } from "../../src/proof/load/http-connection.ts";
import { Running, PROGRAM, temporaryFolder, until } from "./program.ts";

const TEST_MS = 60_000;
/** Descriptors of the program, and connections that want one. */
const FEW = 400;
const MANY = 600;
/** Long enough for ticks of 10 ms to tell half a core from none. */
const MEASURED_MS = 1_000;
const TICK_MS = 10;
/** Of a core; without the gate it is a whole one. */
const MOST_CORE = 0.5;
/** `up` has some 100 files open. */
const HARDLY_ENOUGH = 256;
const USED_UP = "descriptors are used up: new connections are refused";
/** Every partition of every table has some. */
const WALLETS = 24;

function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** Status and text of each answer to an honest client, on the connection that it keeps. */
async function connected(address: string) {
  const connection = await HttpConnection.open(new URL(address));
  const { host } = new URL(address);
  const send = (request: string) =>
    new Promise<readonly [number, string]>((resolve) => {
      connection.send(request, (answer) => resolve([answer?.status ?? 0, answer?.body ?? ""]));
    });
  return {
    get: (path: string) => send(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`),
    post: (path: string, body: string) => {
      const head = `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${body.length}`;
      return send(`${head}\r\n\r\n${body}`);
    },
    [Symbol.dispose]: () => connection.close(),
  };
}

/** Resolves once the other side has closed it. */
function isClosed(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => socket.resume().once("close", () => resolve(true)));
}

async function isServed(address: string): Promise<boolean> {
  using later = await connected(address);
  const [status] = await later.get("/healthz");
  return status === 200;
}

// Skipped: what a process may have is limited by `ulimit`, and looked up in /proc, on Linux alone.
test.skipIf(process.platform !== "linux")(
  "connections that take every descriptor cost no core, and no honest client an answer",
  async () => {
    using folder = temporaryFolder();
    const program = ["sh", "-c", `ulimit -n ${FEW} && exec "$0" "$@"`, ...PROGRAM];
    await using server = new Running({ folder: folder.path, program }, "up", "--port", "0");
    const address = await server.serves();
    using honest = await connected(address);
    expect(await honest.get("/healthz")).toEqual([200, '{"status":"ok"}']);
    const { hostname, port } = new URL(address);
    const open = (): Socket => connect(Number(port), hostname).on("error", () => {});
    const sockets = Array.from({ length: MANY }, open);
    try {
      await until(() => server.err.includes(USED_UP), () => server.err);
      const startCpuMs = cpuMs(server.pid);
      const startMs = performance.now();
      await Bun.sleep(MEASURED_MS); // it is measured, not awaited
      const core = (cpuMs(server.pid) - startCpuMs) / (performance.now() - startMs);
      expect(core).toBeLessThan(MOST_CORE);
      expect(await isClosed(open())).toBe(true); // it has said nothing, and is not left waiting
      // Tables that nobody has asked for yet, and modules that nobody has needed, are opened now.
      for (let index = 0; index < WALLETS; index += 1) {
        const body = `{"wallet_id":"w${index}","amount":6000}`;
        const [status, text] = await honest.post("/deposit", body);
        expect(status).toBe(200);
        const { position } = JSON.parse(text) as { position: string };
        const checked = await honest.get(`/check/w${index}?after=${position}`);
        expect(checked).toEqual([200, expect.stringContaining('"balance":6000')]);
      }
      for (const path of ["/flags", "/openapi.json", "/readyz"]) {
        expect([path, (await honest.get(path))[0]]).toEqual([path, 200]);
      }
    } finally {
      for (const socket of sockets) socket.destroy();
    }
    // And whoever comes is served again, once they are gone.
    await until(() => isServed(address), () => "nobody is let in");
    expect(await server.stop()).toMatchObject({ code: 0 });
  },
  TEST_MS,
);

// Skipped: as above.
test.skipIf(process.platform !== "linux")(
  "where there are hardly more descriptors than files, connections have half of what is left",
  async () => {
    using folder = temporaryFolder();
    const program = ["sh", "-c", `ulimit -n ${HARDLY_ENOUGH} && exec "$0" "$@"`, ...PROGRAM];
    await using server = new Running({ folder: folder.path, program }, "up", "--port", "0");
    const address = await server.serves();
    expect(await isServed(address)).toBe(true);
    const { hostname, port } = new URL(address);
    const sockets = Array.from({ length: MANY }, () =>
      connect(Number(port), hostname).on("error", () => {}),
    );
    await until(() => server.err.includes(USED_UP), () => server.err);
    for (const socket of sockets) socket.destroy();
    await until(() => isServed(address), () => "nobody is let in");
    expect(server.err).not.toContain("unable to open");
    expect(await server.stop()).toMatchObject({ code: 0 });
  },
  TEST_MS,
);
