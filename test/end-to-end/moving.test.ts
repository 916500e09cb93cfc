import { afterAll, expect, test } from "bun:test";
import { join } from "node:path";
import { openEmbeddedLog } from "../../src/log/embedded/embedded-log.ts";
import { freshPrefix, kafkaTest, testBrokers } from "../kafka/broker.ts";
import { foreignClient, makeTopic } from "../kafka/foreign-client.ts";
import { Running, run, PROGRAM, temporaryFolder, until, withoutActionLines } from "./program.ts";

const TEST_MS = 120_000;
const folder = temporaryFolder();
const options = { folder: folder.path };
afterAll(() => folder[Symbol.dispose]());

const HISTORY = `wallet_id,amount,accepted_at,id
alice,6000,2026-01-31T12:00:00Z,first
alice,4000.01,2026-01-31T12:01:59.999Z,second
bob,6000,2026-01-31T12:00:00Z,
carol,20000,2026-01-31T12:00:00Z,
`;
/** Where a program keeps its copies beside a cluster, unless told. */
const LOCAL = "depositaja-data/kafka";
/** Each start of the program takes its time: every wallet is compared elsewhere. */
const QUESTIONS = ["check bob", "flags alice", "flags carol"];

async function answers(...where: string[]): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const question of QUESTIONS) {
    const { code, out, err } = await run(options, ...question.split(" "), ...where);
    expect({ code, err: code === 0 ? "" : err }).toEqual({ code: 0, err: "" });
    found[question] = out;
  }
  return found;
}

kafkaTest("a log moves to a cluster with what its wallets answer, and stays there", async () => {
  await Bun.write(join(folder.path, "history.csv"), HISTORY);
  const data = ["--data", "old"];
  expect(await run(options, "import", "history.csv", ...data)).toMatchObject({ code: 0 });
  const removal = ["flag", "carol", "--remove", "--by", "ann", "--reason", "salary"];
  expect(await run(options, ...removal, ...data)).toMatchObject({ code: 0 });
  const before = await answers(...data);

  const prefix = freshPrefix();
  const brokers = await testBrokers();
  const cluster = ["--brokers", brokers, "--prefix", prefix];
  const move = ["migrate", "--from", "old", "--to-brokers", brokers, "--prefix", prefix];
  const moved = await run(options, ...move);
  const old = join(folder.path, "old");
  expect(moved).toMatchObject({ code: 0 });
  const place = `the Kafka cluster at ${brokers}, prefix ${prefix}`;
  expect(moved.out).toContain(`4 deposits moved to ${place}`);
  expect(moved.err).toContain(` moved ${old} to ${place}"`);
  expect(moved.out).toContain(`${old} is sealed: it takes nothing any more`);
  expect(moved.out).toContain(`process --all --brokers ${brokers} --prefix ${prefix}`);
  const again = await run(options, ...move, "--json");
  expect(again.err).not.toContain("operators");
  expect(JSON.parse(again.out)).toEqual({
    from: old,
    moved_to: place,
    deposits: 4,
    was_done: true,
  });

  const refusals: readonly string[][] = [
    ["serve", "--port", "0"],
    ["up", "--port", "0"],
    ["process", "--all"],
    ["deposit", "alice", "1"],
    ["flag", "alice", "--by", "ann", "--reason", ""],
    ["import", "history.csv"],
  ];
  for (const command of refusals) {
    const { code, err } = await run(options, ...command, ...data);
    expect({ command, code }).toEqual({ command, code: 1 });
    expect(err).toContain(`the log in ${old} was moved to the Kafka cluster at ${brokers}`);
  }

  await using processors = new Running(options, "process", "--all", ...cluster);
  await processors.says(/^processing +collector/m);
  expect(await answers(...cluster)).toEqual(before);
  const imported = await run(options, "import", "history.csv", ...cluster);
  expect(imported).toMatchObject({ code: 0, out: expect.stringContaining("imported before") });
  // However many commands came and went, they share a place, and the process has its own.
  const places = [...new Bun.Glob("*/*/*/purpose").scanSync(join(folder.path, LOCAL))].toSorted();
  const purposes = places.map((path) => Bun.file(join(folder.path, LOCAL, path)).text());
  expect(await Promise.all(purposes)).toEqual(["process", "command"]);
}, TEST_MS);

kafkaTest("a folder is not sealed under what runs on it, which is named", async () => {
  const data = ["--data", "served"];
  const prefix = freshPrefix();
  await using server = new Running(options, "serve", "--port", "0", ...data);
  const url = await server.serves();
  const brokers = await testBrokers();
  const move = ["migrate", "--from", "served", "--to-brokers", brokers, "--prefix", prefix];
  const refused = await run(options, ...move);
  const served = join(folder.path, "served");
  expect(refused).toEqual({
    code: 1,
    out: "",
    err:
      `error: process ${server.pid} has the log in ${served} open: stop what runs on it first, ` +
      "and start again. Nothing was moved or sealed\n",
  });
  const admin = foreignClient(brokers).admin();
  await admin.connect();
  const made = (await admin.listTopics()).filter((name) => name.startsWith(prefix));
  await admin.disconnect();
  expect(made).toEqual([]);
  const body = JSON.stringify({ wallet_id: "alice", amount: 1 });
  expect((await fetch(`${url}/deposit`, { method: "POST", body })).status).toBe(200);
  await server.stop();
  const moved = await run(options, ...move);
  expect(moved).toMatchObject({ code: 0, out: expect.stringContaining("1 deposit moved to") });
}, TEST_MS);

test("a move that was begun is given up, one that is done is not", async () => {
  const data = ["--data", "begun"];
  await Bun.write(join(folder.path, "two.csv"), HISTORY);
  expect(await run(options, "import", "two.csv", ...data)).toMatchObject({ code: 0 });
  const begun = join(folder.path, "begun");
  const seal = { movedTo: "the Kafka cluster at k:9092", incarnation: "x", prefix: "live-" };
  const sealed = async (isDone: boolean) => {
    const log = openEmbeddedLog({ folder: begun, nowMs: Date.now });
    await log.setSeal({ ...seal, isDone });
    await log.close();
  };
  await sealed(false);
  expect(await run(options, "deposit", "alice", "1", ...data)).toMatchObject({ code: 1 });
  const giveUp = ["migrate", "--from", "begun", "--give-up"];
  const mixed = await run(options, ...giveUp, "--to-brokers", "k:9092");
  expect(mixed).toMatchObject({ code: 2, err: expect.stringContaining("leave --to-brokers out") });
  const given = await run(options, ...giveUp);
  expect(withoutActionLines(given)).toMatchObject({ code: 0, err: "" });
  expect(given.err).toContain(` gave up the move of ${begun} to the Kafka cluster at k:9092"`);
  expect(given.out.split("\n").slice(0, 6)).toEqual([
    `the move to the Kafka cluster at k:9092 is given up: ${begun} takes deposits again`,
    "",
    "what was copied stays there, and nothing starts on it. The same `migrate` goes on with it;",
    "for anything else, delete these topics first, those that are there:",
    "  live-deposit",
    "  live-flag_wallet",
  ]);
  expect(given.out).toContain("  live-log-meta\n");
  expect(await run(options, "deposit", "alice", "1", ...data)).toMatchObject({ code: 0 });
  const again = await run(options, ...giveUp, "--json");
  expect(JSON.parse(again.out)).toEqual({ from: begun, given_up: null, left_topics: [] });
  await sealed(true);
  const late = await run(options, ...giveUp);
  expect(late).toMatchObject({ code: 1, out: "" });
  expect(late.err).toContain("was moved to the Kafka cluster at k:9092, and all of it is there");
  const none = await run(options, "migrate", "--from", "nowhere", "--give-up");
  expect(none).toMatchObject({ code: 1, err: expect.stringContaining("there is no data in") });
}, TEST_MS);

kafkaTest("topics shows a cluster's topics, and sync brings them in line", async () => {
  const prefix = freshPrefix();
  const cluster = ["--brokers", await testBrokers(), "--prefix", prefix];
  const dry = await run(options, "topics", "sync", "--dry-run", ...cluster);
  expect(dry).toMatchObject({ code: 0, err: "" });
  expect(dry.out).toContain(`create   ${prefix}deposit: partitions 8, replicas 1`);
  expect(dry.out).toContain("nothing was changed: a dry run");
  const missing = await run(options, "topics", ...cluster);
  expect(missing.err).toBe("there is no log in the cluster yet\n");
  expect(missing.out).toMatch(/deposit +depositaja\.v1\.Deposit +- +- +- +- +- +missing/);

  const sized = ["--partitions", "2", ...cluster];
  const synced = await run(options, "topics", "sync", "--json", ...sized);
  expect(withoutActionLines(synced)).toMatchObject({ code: 0, err: "" });
  expect(synced.err).toContain(" brought the topics in line");
  expect(JSON.parse(synced.out)).toMatchObject({ dry_run: false, corrected: [], removed: [] });
  expect(JSON.parse(synced.out).created).toContain(`${prefix}log-meta`);
  // A broker tells of a topic at once, and of what it holds on disk a moment later.
  let shown = await run(options, "topics", ...cluster);
  const isSized = async () => {
    shown = await run(options, "topics", ...cluster);
    return !/ -  (for good|newest)/.test(shown.out);
  };
  await until(isSized, () => shown.out);
  expect(shown).toMatchObject({ code: 0, err: "" });
  const holds = [
    ["deposit +depositaja.v1.Deposit", "for good"],
    ["flag_wallet +depositaja.v1.FlagWallet", "for good"],
    ["balance-dead-letters +dead letters of balance", "for good"],
    ["balance-table +changelog of balance", "newest of a key, tombstones 7 d"],
    ["balance-progress +progress of balance", "newest of a key"],
  ];
  for (const [each, kept] of holds) {
    const line = `^${prefix}${each} +2 +1 +- +\\d+  ${kept} +as declared$`;
    expect(shown.out).toMatch(new RegExp(line, "m"));
  }
  const own = /log-meta +values of the whole log +1 +1 +- +\d+  newest of a key +as declared$/m;
  expect(shown.out).toMatch(own);
  const nothing = await run(options, "topics", "sync", ...cluster);
  expect(nothing).toMatchObject({ code: 0, out: "nothing to do\n", err: "" });

  const other = await run(options, "topics", "sync", "--partitions", "3", ...cluster);
  expect(other).toMatchObject({ code: 1, out: "" });
  expect(other.err).toContain("the log has 2 partitions, not 3, and a partition count can't");
  const below = ["--brokers", await testBrokers(), "--prefix", prefix.slice(0, -1)];
  const deletion = ["topics", "sync", "--delete-unknown", "--partitions", "1", ...below];
  const others = await run(options, ...deletion, "--dry-run");
  expect(others).toMatchObject({ code: 0 });
  expect(others.err).toContain(`topics of --prefix ${prefix} are another deployment's`);
  expect(others.out).not.toContain("remove");

  // What cannot be done to its end is told of as well: some of it may be done.
  const meta = `${prefix}log-meta`;
  const admin = foreignClient(await testBrokers()).admin();
  await admin.connect();
  await admin.deleteTopics({ topics: [meta] });
  await until(async () => !(await admin.listTopics()).includes(meta), () => `${meta} is there`);
  await admin.disconnect();
  const half = await run(options, "topics", "sync", ...sized);
  expect(half.code).toBe(1);
  expect(half.err).toContain(`but no ${meta}`);
  expect(half.err).toContain(` began to bring the topics in line: create   ${meta}: `);
  expect(half.err).not.toContain("brought the topics in line");
}, TEST_MS);

kafkaTest("topics sync removes what nothing declares when someone types yes", async () => {
  const [brokers, prefix] = [await testBrokers(), freshPrefix()];
  const topic = `${prefix}old`;
  const client = foreignClient(brokers);
  await makeTopic(client, topic);
  const admin = client.admin();
  await admin.connect();
  const isThere = async () => (await admin.listTopics()).includes(topic);
  const where = ["--brokers", brokers, "--prefix", prefix, "--partitions", "1"];
  const command = ["topics", "sync", "--delete-unknown", ...where];
  const answering = async (typed: string) => {
    let screen = "";
    const child = Bun.spawn([...PROGRAM, ...command], {
      cwd: folder.path,
      env: { PATH: process.env["PATH"], TERM: "dumb" },
      terminal: { cols: 200, data: (_, bytes) => (screen += Buffer.from(bytes).toString()) },
    });
    const question = `remove ${topic} for good, with all that is in it? Type yes: `;
    await until(() => screen.includes(question), () => screen);
    child.terminal?.write(`${typed}\r`);
    return child.exited;
  };
  try {
    const unasked = await run(options, ...command);
    expect(unasked.code).toBe(2);
    const refusal = `error: nobody can be asked whether ${topic} may be removed: say --yes\n`;
    expect(unasked.err).toBe(refusal);
    expect(await answering("y")).toBe(1);
    expect(await isThere()).toBe(true);
    expect(await answering("yes")).toBe(0);
    await until(async () => !(await isThere()), () => `${topic} is there`);
  } finally {
    await admin.disconnect();
  }
}, TEST_MS);

test("topics shows a folder's topics; there is nothing to sync", async () => {
  await Bun.write(join(folder.path, "one.csv"), HISTORY);
  const data = ["--data", "folder"];
  expect(await run(options, "import", "one.csv", ...data)).toMatchObject({ code: 0 });
  const { code, out, err } = await run(options, "topics", ...data);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out.split("\n").map((line) => line.replaceAll(/ {2,}/g, "|"))).toEqual([
    "topic|holds|partitions|replicas|records|bytes|kept|state",
    "deposit|depositaja.v1.Deposit|8|-|4|237|for good|as declared",
    "flag_wallet|depositaja.v1.FlagWallet|8|-|2|397|for good|as declared",
    "balance-dead-letters|dead letters of balance|8|-|0|0|for good|as declared",
    "threshold-dead-letters|dead letters of threshold|8|-|0|0|for good|as declared",
    "flagger-dead-letters|dead letters of flagger|8|-|0|0|for good|as declared",
    "",
  ]);
  const json = await run(options, "topics", "--json", ...data);
  expect(JSON.parse(json.out.split("\n")[0] as string)).toEqual({
    topic: "deposit",
    holds: "depositaja.v1.Deposit",
    state: "as declared",
    partitions: 8,
    declared_partitions: 8,
    replicas: null,
    records: 4,
    bytes: 237,
    cleanup: "keep",
    retention_ms: null,
    drift: [],
  });
}, TEST_MS);
