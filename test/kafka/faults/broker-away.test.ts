/** A broker that is not there, goes away and comes back, or whose answers are lost. */

import { afterAll, expect, test } from "bun:test";
import type { Outcome } from "../../end-to-end/program.ts";
import { until } from "../../end-to-end/program.ts";
import { inTime } from "../../in-time.ts";
import { freePorts } from "../free-ports.ts";
import { missingForBroker } from "../java.ts";
import { KafkaCluster } from "../kafka-cluster.ts";
import { Deployment, type Server } from "./deployment.ts";
import { LossyLine } from "./lossy-line.ts";

/** These start brokers of their own, which a cluster that is pointed to does not help with. */
const missing = await missingForBroker();
const TEST_MS = 120_000;
const ANSWER_WITHIN_MS = 10_000;
const RECOVERS_WITHIN_MS = 10_000;
/** All that a stop may take. */
const STOPS_WITHIN_MS = 5_000;
const AWAY_MS = 3_000;
const LOST_ANSWERS = 20;
/** What was sent is sent again for 8 s, the last time for 5 s. */
const UNKNOWN_WITHIN_MS = 15_000;

const [brokerPort = 0, linePort = 0, nobody = 0] = await freePorts(3);
let cluster: KafkaCluster | null = null;
let line: LossyLine | null = null;
afterAll(async () => {
  await line?.[Symbol.asyncDispose]();
  await cluster?.close();
});

test("a command that finds no broker says so within 10 s, with exit code 1", async () => {
  await using deployment = new Deployment(`127.0.0.1:${nobody}`);
  const commands = [["process", "--all"], ["check", "alice"], ["deposit", "alice", "1"]];
  await inTime(ANSWER_WITHIN_MS, async () => {
    const startMs = performance.now();
    const outcomes = await Promise.all(commands.map((each) => deployment.run(...each)));
    const tookMs = performance.now() - startMs;
    for (const { code, out, err } of outcomes as Outcome[]) {
      expect([code, out]).toEqual([1, ""]);
      expect(err).toMatch(new RegExp(`^error: .*127\\.0\\.0\\.1:${nobody}`, "m"));
    }
    return tookMs;
  });
}, TEST_MS);

test("a server that waits for its brokers stops when it is asked to", async () => {
  await using deployment = new Deployment(`127.0.0.1:${nobody}`);
  const { program } = await deployment.serveUnready();
  const startMs = performance.now();
  const { code, err } = await program.stop();
  expect([code, err]).toEqual([0, expect.not.stringContaining("not all was finished")]);
  expect(performance.now() - startMs).toBeLessThan(STOPS_WITHIN_MS);
}, TEST_MS);

// Skipped: without Java 17 and Maven no broker can be started.
const testBroker = test.skipIf(missing !== null);

testBroker("a server that starts before its broker becomes ready by itself", async () => {
  await using deployment = new Deployment(`127.0.0.1:${linePort}`, `127.0.0.1:${brokerPort}`);
  const { url, program } = await deployment.serveUnready();
  expect((await fetch(`${url}/readyz`)).status).toBe(503);
  await until(() => program.err.includes("not ready"), () => program.err); // a try was in vain
  const body = '{"wallet_id": "alice", "amount": 1}';
  const refused = await fetch(`${url}/deposit`, { method: "POST", body });
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
  await start();
  const isReady = async () => (await fetch(`${url}/readyz`)).status === 200;
  await until(isReady, () => program.err, RECOVERS_WITHIN_MS);
  await deployment.process();
  await deployment.settlesEverywhere(url);
  expect(await deployment.faults()).toEqual([]);
}, TEST_MS);

testBroker("a broker killed under load and started again: all goes on within 10 s", async () => {
  await start();
  await using deployment = new Deployment(`127.0.0.1:${linePort}`, `127.0.0.1:${brokerPort}`);
  const server = await deployment.serve();
  const processor = await deployment.process();
  const tail = deployment.start("t", "tail", "deposit", "--follow");
  await deployment.settlesEverywhere(server.url);
  await tail.says(/^\d+-\d+ /m);
  const load = deployment.load();
  await cluster?.kill();
  expect(cluster?.pid()).toBeNull();
  const isReady = async () => (await fetch(`${server.url}/readyz`)).status === 200;
  await until(async () => !(await isReady()), () => server.program.err);
  const away = Bun.sleep(AWAY_MS);
  const body = '{"wallet_id": "alice", "amount": 1}';
  const refused = await fetch(`${server.url}/deposit`, { method: "POST", body });
  // It stands nowhere: the verdict finds none that the witness was not asked for.
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
  expect(await refused.json()).toMatchObject({
    error: expect.stringContaining("; nothing was written: the deposit can safely be sent again"),
    code: "log_unavailable",
  });
  await away;
  await cluster?.restart();
  const backMs = performance.now();
  await until(isReady, () => server.program.err, RECOVERS_WITHIN_MS);
  await deployment.settlesEverywhere(server.url, RECOVERS_WITHIN_MS);
  expect(performance.now() - backMs).toBeLessThan(RECOVERS_WITHIN_MS);
  await load.stop();
  expect(await deployment.faults(), processor.err.slice(-2_000)).toEqual([]);
  const told = () => processor.err.match(/cannot reach the log|the log is reached again/g);
  await until(() => told()?.length === 2, () => processor.err);
  expect(told()).toEqual(["cannot reach the log", "the log is reached again"]);
  expect(tail.err).toContain("cannot reach the log, trying again: ");
}, TEST_MS);

testBroker("`up` whose processors still reach for the cluster stops when told", async () => {
  await start();
  await using deployment = new Deployment(`127.0.0.1:${linePort}`, `127.0.0.1:${brokerPort}`);
  const program = deployment.start("a", "up", "--port", "0");
  await program.says(/^data /m);
  // The main thread has opened the log; the one of the processors is to do so now.
  await line?.[Symbol.asyncDispose]();
  line = null;
  const startMs = performance.now();
  const { code, err } = await program.stop();
  expect([code, err]).toEqual([0, expect.not.stringContaining("not all was finished")]);
  expect(performance.now() - startMs).toBeLessThan(STOPS_WITHIN_MS);
  deployment.forget(program);
}, TEST_MS);

testBroker("answers to appends that are lost lose and double nothing", async () => {
  await start();
  await using deployment = new Deployment(`127.0.0.1:${linePort}`, `127.0.0.1:${brokerPort}`);
  const server = await deployment.serve();
  await deployment.process();
  await deployment.settlesEverywhere(server.url);
  const load = deployment.load();
  const before = line?.lost ?? 0;
  for (let lost = 1; lost <= LOST_ANSWERS; lost += 1) {
    line?.lose(1);
    await until(() => line?.lost === before + lost, () => `${line?.lost}`);
  }
  await deployment.settlesEverywhere(server.url, RECOVERS_WITHIN_MS);
  await load.stop();
  await heldOrUnknown(deployment, server);
  expect(await deployment.faults()).toEqual([]);
}, TEST_MS);

/** No answer comes back at all: nobody is told 200, and the same key counts once afterwards. */
async function heldOrUnknown(deployment: Deployment, { url }: Server): Promise<void> {
  const deposit = deployment.witness.ask("alice", "order-1", 500n);
  const headers = { "Idempotency-Key": deposit.key };
  const body = '{"wallet_id": "alice", "amount": 5}';
  const send = () => fetch(`${url}/deposit`, { method: "POST", headers, body });
  line?.lose(Number.POSITIVE_INFINITY);
  const startMs = performance.now();
  const unknown = await send();
  expect(performance.now() - startMs).toBeLessThan(UNKNOWN_WITHIN_MS);
  expect([unknown.status, unknown.headers.get("retry-after")]).toEqual([503, "1"]);
  line?.lose(0);
  // The next in its partition must not be taken for it, and acknowledged in its place.
  await deployment.settles(url, "alice", RECOVERS_WITHIN_MS);
  let answer = await send();
  const isTold = async () => {
    if (answer.status === 200) return true;
    answer = await send();
    return false;
  };
  await until(isTold, () => String(answer.status), RECOVERS_WITHIN_MS);
  deployment.witness.told(deposit, await answer.text());
}

async function start(): Promise<void> {
  line ??= await LossyLine.open(linePort, brokerPort);
  cluster ??= await KafkaCluster.start({
    port: brokerPort,
    // What clients are told: they come through the line.
    settings: { "advertised.listeners": `PLAINTEXT://127.0.0.1:${linePort}` },
  });
}
