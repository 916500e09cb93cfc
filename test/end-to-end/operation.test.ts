/** What an operator asks of a deployment: its flow, its settings, its records, how it stands. */

import { afterAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freshPrefix, kafkaTest, testBrokers } from "../kafka/broker.ts";
import { foreignClient, makeTopic } from "../kafka/foreign-client.ts";
import { type ProgramOptions, Running, run, PROGRAM, temporaryFolder, until } from "./program.ts";
import { post } from "./session.ts";

const TEST_MS = 60_000;
const folder = temporaryFolder();
const options = { folder: folder.path };
afterAll(() => folder[Symbol.dispose]());

test("topology shows the flow as text, Mermaid and JSON", async () => {
  const [text, mermaid, json, short, wrong] = await Promise.all([
    run(options, "topology"),
    run(options, "topology", "--format", "mermaid"),
    run(options, "topology", "--format", "json"),
    run(options, "topology", "--json"),
    run(options, "topology", "--format", "xml"),
  ]);
  expect(text.out).toMatch(/^deposit +depositaja\.v1\.Deposit, .+\n├─> collector \(balance\) /);
  expect(mermaid.out).toStartWith("flowchart LR\n");
  expect(JSON.parse(json.out)).toMatchObject({
    streams: [{ topic: "deposit", read_by: ["balance", "threshold"] }, { topic: "flag_wallet" }],
    groups: [{ processor: "collector" }, { processor: "detector" }, { processor: "flagger" }],
  });
  expect(short).toEqual(json);
  expect(wrong).toMatchObject({ code: 2, out: "" });
}, TEST_MS);

test("config says what holds and where it came from; what is wrong is refused", async () => {
  using other = temporaryFolder();
  writeFileSync(join(other.path, "config.env"), "PORT=9000\nDEPOSITAJA_SASL_PASSWORD=sesame\n");
  const wanted = ["config", "--brokers", "a", "--sasl", "plain", "--sasl-username", "ann"];
  const at = (environment: Record<string, string>) => ({ folder: other.path, environment });
  const [text, json, unknown, malformed, plain] = await Promise.all([
    run(at({ DEPOSITAJA_HEALTH: "8081" }), ...wanted, "--allow-host", "b", "--allow-host", "c"),
    run(at({}), ...wanted, "--json"),
    run(at({ DEPOSITAJA_HOTS: "a" }), ...wanted),
    run(at({ DEPOSITAJA_HEALTH: "x" }), ...wanted),
    run(options, "config"),
  ]);
  const rows = text.out.trimEnd().split("\n").map((line) => line.split(/ {2,}/));
  expect(rows.filter(([, , from]) => from !== "default")).toEqual([
    ["setting", "value", "from"],
    ["DEPOSITAJA_PORT", "9000", "PORT in config.env"],
    ["DEPOSITAJA_ALLOW_HOST", "b,c", "--allow-host"],
    ["DEPOSITAJA_HEALTH", "127.0.0.1:8081", "DEPOSITAJA_HEALTH"],
    ["DEPOSITAJA_BROKERS", "a:9092", "--brokers"],
    ["DEPOSITAJA_SASL", "plain", "--sasl"],
    ["DEPOSITAJA_SASL_USERNAME", "ann", "--sasl-username"],
    ["DEPOSITAJA_SASL_PASSWORD", "***", "DEPOSITAJA_SASL_PASSWORD in config.env"],
  ]);
  const said = json.out.trimEnd().split("\n").map((line) => JSON.parse(line) as object);
  expect(said).toContainEqual({
    ...{ setting: "DEPOSITAJA_PORT", value: 9000, from: "file", source: "PORT in config.env" },
  });
  expect(`${text.out}${text.err}${json.out}${json.err}`).not.toContain("sesame");
  expect(unknown).toMatchObject({ code: 2, out: "" });
  expect(unknown.err).toContain("DEPOSITAJA_HOTS is no setting; did you mean DEPOSITAJA_HOST?");
  expect(malformed).toMatchObject({ code: 2, out: "" });
  expect(malformed.err).toContain('DEPOSITAJA_HEALTH is "x": it must be a port');
  expect(plain).toMatchObject({ code: 0, err: "" });
}, TEST_MS);

const HISTORY = `wallet_id,amount,accepted_at,id
alice,6000,2026-01-31T12:00:00Z,first
alice,6000,2026-01-31T12:00:01Z,second
bob,1,2026-01-31T12:00:00Z,third
`;

/** What holds on any log; `args` name it. */
async function playOperation(at: ProgramOptions, args: readonly string[]): Promise<void> {
  const ask = (...words: string[]) => run(at, ...words, ...args);
  const json = async (...words: string[]) => {
    const { out } = await ask(...words, "--json");
    return out.trimEnd().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
  };
  writeFileSync(join(at.folder, "history.csv"), HISTORY);
  await using up = new Running(at, "up", "--port", "0", ...args);
  const url = await up.serves();
  await until(async () => (await fetch(`${url}/readyz`)).status === 200, () => up.err);
  expect(await ask("import", "history.csv")).toMatchObject({ code: 0 });

  const [alices, oldest, event, unknown] = await Promise.all([
    ask("tail", "deposit", "--key", "alice", "--last", "1"),
    ask("tail", "deposit", "--to", "2026-01-31T12:00:00Z"),
    json("tail", "flag_wallet"),
    ask("tail", "depositt"),
  ]);
  expect(alices.out).toMatch(/^\d-1 {2}20\S+Z {2}alice {2}id second {2}\{"amountMinor":"600000",/);
  expect(oldest).toMatchObject({ code: 0, out: "" });
  expect(event).toMatchObject([{ key: "alice", message: { kind: { case: "event" } } }]);
  expect(unknown).toMatchObject({ code: 2, err: expect.stringContaining("known are deposit,") });

  const statuses = await json("status");
  expect(statuses).toHaveLength(24);
  expect(statuses.filter(({ owner, lag_records: lag }) => owner === null || lag !== 0)).toEqual([]);
  const late = statuses.map((status) => [status["group"], status["late"]].join(" "));
  expect([...new Set(late)]).toEqual(["balance ", "threshold 0", "flagger "]);
  const rows = statuses.map((status) => status["rows"] as number | null);
  expect(rows.every((each) => each === null)).toBe(args.length > 0); // not on this machine
  await using watching = new Running(at, "status", "--watch", ...args);
  await watching.says(/all is done[^]+\n\n20\d\d-[^]+all is done/);
  expect(await watching.stop("SIGINT")).toMatchObject({ code: 0, err: "" });

  await using following = new Running(at, "tail", "deposit", "--last", "1", "--follow", ...args);
  await following.says(/ id (first|second|third) /);
  await post(url, '{"wallet_id": "carol", "amount": 5}');
  await following.says(/ carol .+"500"/);
  expect(await following.stop("SIGINT")).toMatchObject({ code: 0, err: "" });
  const told = await json("tail", "deposit");
  const newestMs = Math.max(...told.map((record) => record["timestamp_ms"] as number));
  const newest = told.filter((record) => record["timestamp_ms"] === newestMs);
  expect(newest).toMatchObject([{ key: "carol" }]); // programs came and went since the others
  expect(await json("tail", "deposit", "--from", String(newestMs))).toEqual(newest);
  if (args.length > 0) return; // a pipe is closed alike on any log
  const [tail, read] = [[...PROGRAM, "tail", "deposit", "--follow", ...args], "head -n 1"];
  const shell = `${tail.map((word) => `'${word}'`).join(" ")} | ${read}; exit "\${PIPESTATUS[0]}"`;
  let isEnded = false;
  const piped = run({ ...at, program: ["bash", "-c", shell] }).finally(() => (isEnded = true));
  // A pipe is found closed by writing to it.
  const hasEnded = async () => {
    await post(url, '{"wallet_id": "dave", "amount": 1}');
    return isEnded;
  };
  await until(hasEnded, () => up.err);
  expect(await piped).toMatchObject({ code: 0, err: "" });
}

test("an operator sees the records of a data folder", async () => {
  using other = temporaryFolder();
  const at = { folder: other.path };
  await playOperation(at, []);
  await using server = new Running(at, "serve", "--port", "0");
  await post(await server.serves(), '{"wallet_id": "alice", "amount": 5}');
  const { out } = await run(at, "status");
  expect(out).toMatch(/^collector \(balance\) +5  nobody +2 +3 +1 +\d+ m?s +\d+ +- +- +0\/0$/m);
  expect(out).toMatch(/^collector \(balance\): \d to do, .+ behind, nobody runs 8 of 8 part/m);
}, TEST_MS);

kafkaTest("and of a cluster, rows of changelogs among them", async () => {
  using other = temporaryFolder();
  const args = ["--brokers", await testBrokers(), "--prefix", freshPrefix()];
  const at = { folder: other.path };
  await playOperation(at, args);
  const { out } = await run(at, "tail", "balance-table", "--key", "alice", "--json", ...args);
  const rows = out.trimEnd().split("\n").map((line) => JSON.parse(line) as object);
  expect(rows).toContainEqual(
    expect.objectContaining({ key: "alice", type: "balance", value: expect.anything() }),
  );
}, TEST_MS);

kafkaTest("topics sync --yes asks nobody, and makes a log as it is told", async () => {
  using other = temporaryFolder();
  const at = { folder: other.path };
  const [brokers, prefix] = [await testBrokers(), freshPrefix()];
  const cluster = ["--brokers", brokers, "--prefix", prefix];
  await makeTopic(foreignClient(brokers), `${prefix}old`);
  const size = ["--partitions", "1", "--decimals", "3"];
  const sync = ["topics", "sync", "--delete-unknown", "--yes", "--json", ...size, ...cluster];
  const synced = await run(at, ...sync);
  expect(synced.code, synced.err).toBe(0);
  expect(JSON.parse(synced.out)).toMatchObject({ removed: [`${prefix}old`] });
  const finer = await run(at, "deposit", "alice", "0.0001", ...cluster);
  expect(finer).toMatchObject({ code: 2, out: "" });
  expect(finer.err).toContain("amount has 4 decimals");
  const shown = await run(at, "topics", "--json", ...cluster);
  expect(shown.out).not.toContain(`"${prefix}old"`);
}, TEST_MS);
