import { expect, test } from "bun:test";
import { join } from "node:path";
import { Running, run, temporaryFolder } from "./program.ts";
import { post } from "./session.ts";
import { type Call, Trace, whyUntraceable } from "./traced-program.ts";

const TEST_MS = 60_000;
/** More than one transaction takes, some of them at the same time. */
const CLIENTS = 8;
const DEPOSITS_EACH = 5;

const untraceable = whyUntraceable();
// Skipped: where processes may not be traced.
const testTraced = test.skipIf(untraceable !== null);
const titled = (promise: string) =>
  untraceable === null ? promise : `${promise} (skipped: ${untraceable})`;

testTraced(titled("no deposit is answered before an fsync of what it wrote"), async () => {
  using folder = temporaryFolder();
  await using serve = new Running({ folder: folder.path }, "serve", "--port", "0");
  const url = await serve.serves();
  const kinds = "pwrite64,fdatasync,fsync,read,recvfrom,recvmsg,write,writev,sendto,sendmsg";
  await using trace = await Trace.attach(serve.pid, kinds);
  const client = async (number: number) => {
    for (let i = 0; i < DEPOSITS_EACH; i += 1) {
      const answer = await post(url, `{"wallet_id": "wallet-${number}", "amount": 1}`);
      expect(answer["position"]).toEqual(expect.any(String));
    }
  };
  await client(0);
  await Promise.all(Array.from({ length: CLIENTS }, (_, number) => client(number)));
  // The thread goes on to this one only once the end of the last deposit's answer is traced.
  expect((await fetch(`${url}/nowhere`)).status).toBe(404);
  const calls = await trace.stop();
  const wal = join(folder.path, "depositaja-data", "log.db-wal");
  expect(answersAfterSync(calls, wal)).toEqual({
    synced: (CLIENTS + 1) * DEPOSITS_EACH,
    unsynced: [],
  });
}, TEST_MS);

testTraced(titled("no deposit is answered 200 when the fsync fails"), async () => {
  using folder = temporaryFolder();
  const options = { folder: folder.path };
  await using serve = new Running(options, "serve", "--port", "0");
  const url = await serve.serves();
  const send = async () => {
    const body = '{"wallet_id": "alice", "amount": 1}';
    const answer = await fetch(`${url}/deposit`, { method: "POST", body });
    const { code, error } = (await answer.json()) as { code?: string; error?: string };
    return { status: answer.status, code, error };
  };
  expect(await send()).toMatchObject({ status: 200 });
  const syncs = "fdatasync,fsync";
  await using trace = await Trace.attach(serve.pid, syncs, `${syncs}:error=EIO`);
  const error = expect.stringContaining("the disk failed while the log was written");
  expect(await send()).toEqual({ status: 503, code: "outcome_unknown", error });
  const calls = await trace.stop();
  expect(calls.filter(({ result }) => result.includes("EIO")).length).toBeGreaterThan(0);
  // The disk answers again, but what it holds is known only to who reads it anew.
  expect(await send()).toEqual({ status: 503, code: "log_unavailable", error });
  expect((await fetch(`${url}/readyz`)).status).toBe(503);
  expect(await serve.stop()).toMatchObject({ code: 0 });
  const { code, out } = await run(options, "check", "alice", "--json");
  expect(code).toBe(0);
  const { balance } = JSON.parse(out) as { balance: string };
  expect(["1.00", "2.00"]).toContain(balance); // the second's outcome was unknown
}, TEST_MS);

/**
 * Follows each connection from the request that was read to the answer that is written: in
 * between, the WAL must have been written, and after that synced.
 */
function answersAfterSync(calls: readonly Call[], wal: string) {
  const steps = new Map<string, "read" | "written" | "synced">();
  const outcome = { synced: 0, unsynced: [] as Call[] };
  const advance = (from: string, to: "written" | "synced") => {
    for (const [connection, step] of steps) if (step === from) steps.set(connection, to);
  };
  for (const call of calls) {
    const { name, args, result } = call;
    const descriptor = args.split(/[ ,]/, 1)[0] as string;
    if (args.includes('"POST /deposit ')) steps.set(descriptor, "read");
    else if (name === "pwrite64" && args.includes(`<${wal}>`)) advance("read", "written");
    else if (name.endsWith("sync") && args.includes(`<${wal}>`) && result === "0") {
      advance("written", "synced");
    } else if (args.includes('"HTTP/1.1 200 ')) {
      if (steps.get(descriptor) === "synced") outcome.synced += 1;
      else outcome.unsynced.push(call);
      steps.delete(descriptor);
    }
  }
  return outcome;
}
