import { describe, expect, test } from "bun:test";
import { createServer, type Server, type Socket } from "node:net";
import { LogError } from "../../../src/log/event-log.ts";
import type { KafkaAccess } from "../../../src/log/kafka/connections.ts";
import { openKafkaLog } from "../../../src/log/kafka/kafka-log.ts";

const TEST_MS = 30_000;
/** What an operator waits for, and what a broker that comes back is spared. */
const WITHIN_MS = 10_000;
const MAX_ATTEMPTS = 15;
/** A record of TLS: alert, TLS 1.2, 2 bytes, fatal, internal error. */
const TLS_ALERT = new Uint8Array([0x15, 0x03, 0x03, 0, 2, 2, 80]);

/** How a server that is no broker treats who comes. */
type Manner = (socket: Socket) => void;

async function refusedBy(manner: Manner, access: Partial<KafkaAccess> = {}) {
  let attempts = 0;
  const server = createServer((socket) => {
    attempts += 1;
    socket.on("error", () => {}); // the other side may go first
    manner(socket);
  });
  const broker = await addressOf(server);
  try {
    return { ...(await failureAt([broker], access)), broker, attempts };
  } finally {
    server.close();
  }
}

async function failureAt(brokers: readonly string[], access: Partial<KafkaAccess> = {}) {
  const startMs = performance.now();
  const opening = openKafkaLog({
    brokers,
    clientId: "test",
    tls: null,
    sasl: null,
    prefix: "",
    create: true,
    defaults: {},
    settings: {},
    nowMs: Date.now,
    ...access,
  });
  const error = await opening.then(
    () => null,
    (failure: unknown) => failure,
  );
  expect(error).toBeInstanceOf(LogError);
  const { code, message } = error as LogError;
  return { code, message, tookMs: performance.now() - startMs };
}

function addressOf(server: Server): Promise<string> {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      resolve(`127.0.0.1:${(server.address() as { port: number }).port}`);
    });
  });
}

const TLS = { tls: {} };
const closes: Manner = (socket) => socket.destroy();
const closesWhenAsked: Manner = (socket) => socket.once("data", () => socket.end());
const isSilent: Manner = (socket) => socket.resume();

describe("where no broker is", () => {
  test.concurrent("nothing listens", async () => {
    const server = createServer();
    const broker = await addressOf(server);
    await new Promise((resolve) => server.close(resolve));
    const { code, message, tookMs } = await failureAt([broker]);
    expect(code).toBe("unavailable");
    expect(message).toContain(`no broker of ${broker} can be reached: `);
    expect(message).toContain("check --brokers, and that the cluster runs");
    expect(tookMs).toBeLessThan(WITHIN_MS);
  }, TEST_MS);

  const cases: [string, Manner, Partial<KafkaAccess>, string][] = [
    ["the connection is closed", closes, {}, "its port may speak TLS: add --tls"],
    ["the request is not answered, but closed", closesWhenAsked, {}, "may speak TLS: add --tls"],
    ["the handshake is closed", closesWhenAsked, TLS, "its port speaks without TLS: leave --tls"],
    ["nothing is answered", isSilent, {}, "check --brokers, and that the cluster runs"],
    ["no handshake is answered", isSilent, TLS, "check --brokers, and that the cluster runs"],
  ];
  test.concurrent.each(cases)(
    "%s",
    async (_, manner, access, hint) => {
      const { code, message, tookMs, broker, attempts } = await refusedBy(manner, access);
      expect(code).toBe("unavailable");
      expect(message).toContain(`no broker of ${broker} can be reached: `);
      expect(message).toContain(hint);
      expect(tookMs).toBeLessThan(WITHIN_MS);
      expect(attempts).toBeGreaterThan(1);
      expect(attempts).toBeLessThan(MAX_ATTEMPTS);
    },
    TEST_MS,
  );
});

test("a peer that answers with an alert of TLS is asked once, and named", async () => {
  const alerts: Manner = (socket) => socket.once("data", () => socket.end(TLS_ALERT));
  const { code, message, tookMs, broker, attempts } = await refusedBy(alerts);
  expect(code).toBe("unusable_place");
  const advice = "speaks TLS at this port: add --tls, or name the port without";
  expect(message).toBe(`the cluster at ${broker} ${advice}`);
  expect(attempts).toBe(1);
  expect(tookMs).toBeLessThan(2_000);
}, TEST_MS);

test("a peer that answers TLS with something else is asked once, and named", async () => {
  const talks: Manner = (socket) => socket.once("data", () => socket.end("HTTP/1.1 400\r\n\r\n"));
  const { code, message, attempts, tookMs } = await refusedBy(talks, TLS);
  expect(message).toContain("speaks no TLS at this port: leave --tls out, or name the port for");
  expect(code).toBe("unusable_place");
  expect(attempts).toBe(1);
  expect(tookMs).toBeLessThan(2_000);
}, TEST_MS);

test.each([0, 1])("of several the one that answers is believed (%i before it)", async (before) => {
  let asked = 0;
  const server = createServer((socket) => {
    asked += 1;
    socket.on("error", () => {});
    socket.once("data", () => socket.end(TLS_ALERT));
  });
  const broker = await addressOf(server);
  try {
    const dead = ["127.0.0.1:1", "127.0.0.1:2"];
    const { code } = await failureAt([...dead.slice(0, before), broker, ...dead.slice(before)]);
    expect(code).toBe("unusable_place"); // its word, and not that nobody is at the other
    expect(asked).toBe(1);
  } finally {
    server.close();
  }
}, TEST_MS);
