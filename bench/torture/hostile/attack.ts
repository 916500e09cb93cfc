/**
 * Attacks of hostile clients, each by itself in a process of its own, so that the honest client
 * beside it is not held up by the attacker's work.
 *
 *   plan ──attack──> server ──until it is over──> report
 *
 * A program: the plan is its argument, the report its output, one JSON text each.
 */

import { connect, type Socket } from "node:net";
import { ANSWERED, REFUSED } from "../../../test/service/hostile-requests.ts";
import { HttpConnection } from "../../../src/proof/load/http-connection.ts";
import { below, randomFrom } from "../../../src/proof/random.ts";

export interface AttackPlan {
  readonly kind: "idle" | "drip" | "shapes" | "flood";
  readonly port: number;
  /** Connections; for `flood` wallets, for `shapes` requests. */
  readonly count: number;
  readonly seed: number;
  /** The connections are kept no longer. */
  readonly withinMs: number;
}

export interface AttackReport {
  /** Connections that came about, or requests that were sent. */
  readonly made: number;
  /** Of these, what the server had closed in time, and when it closed the last. */
  readonly closed: number;
  readonly lastClosedMs: number;
  /** By status; 0: closed without an answer. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly ms: number;
}

const HOST = "127.0.0.1";
const GET = `GET /healthz HTTP/1.1\r\nHost: ${HOST}\r\n`;
const POST = `POST /deposit HTTP/1.1\r\nHost: ${HOST}\r\n`;
/** A connection at a time is opened by so many: the server's queue of new ones holds 512. */
const OPENERS = 64;
const DRIP_EVERY_MS = 1_000;
const FLOODING = 64;
/** A shape that the server waits on is left. */
const SHAPE_MS = 2_000;

if (import.meta.main) {
  const plan = JSON.parse(Bun.argv[2] ?? "{}") as AttackPlan;
  const attacks = { idle, drip, shapes, flood };
  console.log(JSON.stringify(await attacks[plan.kind](plan)));
  process.exit(0);
}

/** Some say nothing, some half a request, some a whole one and then nothing more. */
function idle(plan: AttackPlan): Promise<AttackReport> {
  const greetings = ["", "GET /hea", GET, `${GET}\r\n`];
  return hold(plan, (socket, number) => {
    const greeting = greetings[number % greetings.length] as string;
    if (greeting !== "") socket.write(greeting);
  });
}

/** A byte a second: of the first line, of a header, of a body, of chunks. */
function drip(plan: AttackPlan): Promise<AttackReport> {
  const beginnings: readonly (readonly [string, string])[] = [
    ["", "G"],
    [GET, "X"],
    [`${POST}Content-Length: 10000\r\n\r\n`, " "],
    [`${POST}Transfer-Encoding: chunked\r\n\r\n`, "1\r\n \r\n"],
  ];
  return hold(plan, (socket, number) => {
    const [first, next] = beginnings[number % beginnings.length] as readonly [string, string];
    if (first !== "") socket.write(first);
    const dripping = setInterval(() => socket.write(next), DRIP_EVERY_MS);
    socket.once("close", () => clearInterval(dripping));
  });
}

async function hold(
  { port, count, withinMs }: AttackPlan,
  begin: (socket: Socket, number: number) => void,
): Promise<AttackReport> {
  const startMs = performance.now();
  const seen = { made: 0, opened: 0, closed: 0, lastClosedMs: 0 };
  const statuses: Record<string, number> = {};
  const open = async () => {
    while (seen.opened < count && performance.now() < startMs + withinMs) {
      seen.opened += 1;
      const number = seen.opened;
      await new Promise<void>((resolve) => {
        const socket = connect(port, HOST, () => {
          seen.made += 1;
          begin(socket, number);
          resolve();
        });
        socket.on("error", () => resolve());
        socket.on("data", (data: Buffer) => tally(statuses, statusOf(data)));
        socket.once("close", () => {
          seen.closed += 1;
          seen.lastClosedMs = performance.now() - startMs;
          resolve();
        });
      });
    }
  };
  await Promise.all(Array.from({ length: OPENERS }, open));
  const isOver = () => seen.closed === seen.made || performance.now() > startMs + withinMs;
  while (!isOver()) await Bun.sleep(DRIP_EVERY_MS);
  return { ...seen, statuses, ms: performance.now() - startMs };
}

/** Hostile requests as they stand, and with bytes changed. */
async function shapes({ port, count, seed }: AttackPlan): Promise<AttackReport> {
  const startMs = performance.now();
  const random = randomFrom(seed);
  const known = [...REFUSED, ...ANSWERED].map(({ bytes }) => bytes);
  const statuses: Record<string, number> = {};
  let made = 0;
  const attack = async () => {
    while (made < count) {
      made += 1;
      let bytes = known[below(random, known.length)] as string;
      for (let edits = below(random, 4); edits > 0; edits -= 1) {
        const at = below(random, Math.min(bytes.length, 300));
        const put = String.fromCharCode(below(random, 256)).repeat(below(random, 3));
        bytes = bytes.slice(0, at) + put + bytes.slice(at + below(random, 3));
      }
      await exchange(port, bytes, statuses);
    }
  };
  await Promise.all(Array.from({ length: OPENERS }, attack));
  return { made, closed: made, lastClosedMs: 0, statuses, ms: performance.now() - startMs };
}

function exchange(port: number, bytes: string, statuses: Record<string, number>): Promise<void> {
  return new Promise((resolve) => {
    let isAnswered = false;
    const socket = connect(port, HOST, () => socket.end(Buffer.from(bytes, "latin1")));
    const late = setTimeout(() => socket.destroy(), SHAPE_MS);
    socket.on("error", () => {});
    socket.on("data", (data: Buffer) => {
      isAnswered = true;
      tally(statuses, statusOf(data));
    });
    socket.once("close", () => {
      clearTimeout(late);
      if (!isAnswered) tally(statuses, "0");
      resolve();
    });
  });
}

/** A deposit into each of so many new wallets, as fast as they are taken. */
async function flood({ port, count, seed }: AttackPlan): Promise<AttackReport> {
  const startMs = performance.now();
  const statuses: Record<string, number> = {};
  let made = 0;
  const client = async () => {
    let connection = await HttpConnection.open(new URL(`http://${HOST}:${port}`));
    while (made < count) {
      const wallet = `flood-${seed}-${made}`;
      made += 1;
      const body = `{"wallet_id":"${wallet}","amount":0.01}`;
      const request = `${POST}Content-Length: ${body.length}\r\n\r\n${body}`;
      const status = await new Promise<number>((resolve) => {
        connection.send(request, (answer) => resolve(answer?.status ?? 0));
      });
      tally(statuses, String(status));
      if (!connection.isBroken) continue;
      connection = await HttpConnection.open(new URL(`http://${HOST}:${port}`));
    }
    connection.close();
  };
  await Promise.all(Array.from({ length: FLOODING }, client));
  return { made, closed: 0, lastClosedMs: 0, statuses, ms: performance.now() - startMs };
}

function statusOf(data: Buffer): string {
  return /^HTTP\/1\.1 (\d{3})/.exec(data.toString("latin1", 0, 12))?.[1] ?? "other";
}

function tally(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}
