/** A claim's commits: the offsets that its progress names. */

import { expect } from "bun:test";
import type {
  Claim,
  LogError,
  LogRecord,
  Progress,
  TopicSpec,
} from "../../../src/log/event-log.ts";
import { openClaim } from "../../../src/log/kafka/claim-opening.ts";
import { Connections } from "../../../src/log/kafka/connections.ts";
import { Fetcher } from "../../../src/log/kafka/fetcher.ts";
import { GroupWriters } from "../../../src/log/kafka/group-writer.ts";
import { type KafkaLog, openKafkaLog } from "../../../src/log/kafka/kafka-log.ts";
import { stableBounds } from "../../../src/log/kafka/offsets.ts";
import { newestProgress } from "../../../src/log/kafka/progress-topic.ts";
import { TopicNames } from "../../../src/log/kafka/names.ts";
import { declared, Topics } from "../../../src/log/kafka/topics.ts";
import { freshPrefix, kafkaTest, testBrokers } from "../../kafka/broker.ts";
import { rejection } from "../../rejection.ts";

const WEEK_MS = 604_800_000;
const REOPENINGS = 40;
/** Of Kafka's ListOffsets. */
const LATEST = -1;

kafkaTest("progress names the offset of the last row, whoever else wrote there", async () => {
  await using cluster = await twoLogs();
  const [log, other] = cluster.logs;
  const common = { partitions: 1 };
  await log.ensureTopics([
    { ...common, name: "events", cleanup: "keep", retentionMs: null },
    { ...common, name: "sums-table", cleanup: "compact", retentionMs: WEEK_MS },
  ]);
  await log.append([1, 2, 3].map((n) => record("events", `event ${n}`)));
  const claims = new Claims(log, cluster.signal);
  await claims.hold(1);
  const [claim] = claims.held as [Claim];
  const rows = [];
  for (const row of ["first", "behind another's record", "undisturbed"]) {
    if (row.startsWith("behind")) await log.append([record("sums-table", "another's")]);
    const [{ offset, checksum }] = (await claim.read(1)) as [LogRecord];
    const { changelogOffset } = await claim.commit({
      outputs: [],
      changelog: [{ key: Buffer.from(row), value: Buffer.from("1") }],
      inputs: [{ topic: "events", nextOffset: offset + 1n, checksum }],
    });
    rows.push([row, await keyAt(log, changelogOffset)]);
  }
  for (const [row, found] of rows) expect(found).toBe(row);
  const stored = await other.progress("sums", 0);
  expect(await keyAt(log, stored?.changelogOffset ?? null)).toBe("undisturbed");
});

kafkaTest("rows that would stand before the last ones are not committed: it is told", async () => {
  await using cluster = await twoLogs();
  const [log, other] = cluster.logs;
  const table = { name: "sums-table", partitions: 2, cleanup: "compact", retentionMs: WEEK_MS };
  await log.ensureTopics([
    { name: "events", partitions: 2, cleanup: "keep", retentionMs: null },
    table as TopicSpec,
  ]);
  const claims = new Claims(log, cluster.signal);
  await claims.hold(2);
  const [first, second] = claims.held as [Claim, Claim];
  const outputs = [{ ...record("events", "output"), partition: 1 }]; // no offset is expected then
  const commit = (claim: Claim, nextOffset: bigint, isRowAlone: boolean) =>
    claim.commit({
      outputs: isRowAlone ? [] : outputs,
      changelog: [{ key: Buffer.from("row"), value: Buffer.from("1") }],
      inputs: [{ topic: "events", nextOffset, checksum: null }],
    });
  const before: Progress[] = [];
  for (const claim of [first, second]) {
    await commit(claim, 1n, false);
    before[claim.partition] = await commit(claim, 2n, true);
  }
  await cluster.makeAnew(table as TopicSpec);
  const failed = await Promise.all(
    [first, second].map((claim, index) =>
      commit(claim, 3n, index === 0).catch((error: unknown) => error as LogError),
    ),
  );
  // One of them ends what both would have committed together.
  const told = failed.find((each) => (each as LogError).code === "topic_changed") as LogError;
  expect(told.message).toMatch(
    /^sums has written to offset 2 of sums-table partition [01], and its next .* offset 0: the /,
  );
  const rest = failed.filter((each) => each !== told);
  expect(rest).toMatchObject([{ code: "unavailable" }]);
  for (const partition of [0, 1]) {
    expect(await other.progress("sums", partition)).toEqual(before[partition] as Progress);
  }
});

kafkaTest("a partition that is given back in order fences nobody on its way", async () => {
  await using cluster = await twoLogs();
  const [log, other] = cluster.logs;
  await log.ensureTopics([
    { name: "events", partitions: 2, cleanup: "keep", retentionMs: null },
    { name: "sums-table", partitions: 2, cleanup: "compact", retentionMs: WEEK_MS },
  ]);
  await log.append([0, 1].map((partition) => ({ ...record("events", "event"), partition })));
  const mine = new Claims(log, cluster.signal);
  await mine.hold(2);
  const theirs = new Claims(other, cluster.signal);
  const given = await mine.givesBack();
  await theirs.hold(1);
  const [claim] = mine.held;
  expect([given, claim?.partition].toSorted()).toEqual([0, 1]);
  // With the same producer: a claim that came anew would be another, of a higher epoch.
  expect([claim?.epoch, claim?.revoked.aborted]).toEqual([1, false]);
  for (const each of [claim, theirs.held[0]] as Claim[]) {
    const [{ offset, checksum }] = (await each.read(1)) as [LogRecord];
    await each.commit({
      outputs: [],
      changelog: [],
      inputs: [{ topic: "events", nextOffset: offset + 1n, checksum }],
    });
  }
});

kafkaTest("a claim that is opened anew while its last one commits begins behind that", async () => {
  await using member = await oneMember();
  const { host, place } = member;
  const events = eventsOf();
  const open = async (): Promise<Claim> =>
    openClaim(host, place, events).catch((error: LogError) => {
      if (error.code !== "unavailable" && error.code !== "fenced") throw error;
      return open(); // as a membership does
    });
  let claim = await open();
  let done = 0n;
  for (let round = 0; round < REOPENINGS; round += 1) {
    const nextOffset = done + 1n;
    const commit = claim.commit({
      outputs: [],
      changelog: [{ key: Buffer.from("row"), value: Buffer.from("1") }],
      inputs: [{ topic: "events", nextOffset, checksum: null }],
    });
    const [isDone, next] = await Promise.all([
      commit.then(() => true).catch(() => false),
      open(),
    ]);
    if (isDone) done = nextOffset;
    const begins = next.progress?.inputs[0]?.nextOffset ?? 0n;
    expect(begins).toBeGreaterThanOrEqual(done);
    done = begins; // a commit that was not told of may have been done
    claim = next;
  }
}, 60_000);

kafkaTest("a member that is none any more fences nobody, however late it opens", async () => {
  await using member = await oneMember();
  const { host, place } = member;
  const owner = await openClaim(host, place, eventsOf());
  const leaving = new AbortController();
  // It has stood still: the group answers what it should have heard long ago.
  const late = { ...eventsOf(), signal: leaving.signal, confirm: async () => leaving.abort() };
  const opened = openClaim({ ...host, writers: member.otherWriters() }, place, late);
  expect(await rejection(opened)).toMatchObject({ code: "unavailable" });
  const inputs = [{ topic: "events", nextOffset: 1n, checksum: null }];
  await owner.commit({ outputs: [], changelog: [], inputs });
  expect(owner.revoked.aborted).toBe(false);
});

/** Of a member that the group keeps. */
function eventsOf() {
  const { signal } = new AbortController();
  return { signal, confirm: async () => {}, released: () => {}, fenced: () => {} };
}

kafkaTest("what a leader tells that hung and was replaced is not the progress", async () => {
  await using member = await oneMember();
  const { host, place } = member;
  const own = { signal: new AbortController().signal, confirm: async () => {} };
  const events = { ...own, released: () => {}, fenced: () => {} };
  const commit = (claim: Claim, nextOffset: bigint) =>
    claim.commit({
      outputs: [],
      changelog: [],
      inputs: [{ topic: "events", nextOffset, checksum: null }],
    });
  const topic = host.names.progress(place.group);
  const first = await openClaim(host, place, events);
  await commit(first, 1n);
  await first.release();
  const at = { topic, partition: 0 };
  const isGivenBack = async () =>
    (await newestProgress(host.connections, host.fetcher, at))?.writer === null;
  while (!(await isGivenBack())); // the markers of that are written
  const { end } = await stableBounds(host.connections, at);
  const second = await openClaim(host, place, events);
  await commit(second, 5n);
  await second.release();
  // As if its leader had hung since then: it says that the topic ends where it ended.
  const { connections } = host;
  let isHung = true;
  const hung = Object.create(connections, {
    leader: {
      value: async (of: string, partition: number) => {
        const leader = await connections.leader(of, partition);
        if (!isHung || of !== topic) return leader;
        const listOffsets: typeof leader.listOffsets = async (asked) => {
          const answer = await leader.listOffsets(asked);
          const isEnd = asked.topics[0]?.partitions[0]?.timestamp === LATEST;
          if (!isEnd) return answer;
          const partitions = [{ partition: 0, offset: `${end}` }];
          return { responses: [{ topic, partitions }] };
        };
        return Object.create(leader, { listOffsets: { value: listOffsets } });
      },
    },
  });
  const opening = openClaim({ ...host, connections: hung }, place, events);
  const told = await opening.then((claim) => claim.progress, (error: LogError) => error.code);
  expect(told).toBe("unavailable");
  isHung = false;
  const third = await openClaim(host, place, events);
  expect(third.progress?.inputs[0]?.nextOffset).toBe(5n);
}, 60_000);

/** What claims of one group need in one process, without its membership. */
async function oneMember() {
  const access = { brokers: (await testBrokers()).split(","), tls: null, sasl: null };
  const opened: Connections[] = [];
  const connect = () => {
    const connections = new Connections({ ...access, clientId: "test" });
    opened.push(connections);
    return connections;
  };
  const names = new TopicNames(freshPrefix());
  const connections = connect();
  const fetcher = new Fetcher({ quick: connect(), waiting: connect() });
  const transactionConnections = connect();
  const progressTopic = names.progress("sums");
  const topics = [names.topic("events"), names.topic("sums-table"), progressTopic];
  await new Topics(connections).ensure(
    topics.map((name) =>
      declared(name, { name, partitions: 1, cleanup: "keep", retentionMs: null }),
    ),
  );
  const common = { nowMs: Date.now, step: () => {}, signal: new AbortController().signal };
  const otherWriters = () =>
    new GroupWriters({
      ...common,
      ...{ connections: transactionConnections, groupId: names.group("sums"), progressTopic },
    });
  const writers = otherWriters();
  const check = async () => {};
  return {
    host: { ...common, names, connections, transactionConnections, writers, fetcher, check },
    otherWriters,
    place: { group: "sums", partition: 0, topics: ["events"], changelog: "sums-table" },
    [Symbol.asyncDispose]: async () => {
      fetcher.close();
      await Promise.all(opened.map((each) => each.close()));
    },
  };
}

/** The claims of a member that gives back what it is to give back. */
class Claims {
  held: Claim[] = [];
  private readonly given: number[] = [];
  private changed = Promise.withResolvers<void>();

  constructor(log: KafkaLog, signal: AbortSignal) {
    void this.collect(log, signal);
  }

  async hold(count: number): Promise<void> {
    while (this.held.length < count) await this.changed.promise;
  }

  /** The first partition that it has given back. */
  async givesBack(): Promise<number> {
    while (this.given[0] === undefined) await this.changed.promise;
    return this.given[0];
  }

  private async collect(log: KafkaLog, signal: AbortSignal): Promise<void> {
    const joined = log.join({ group: "sums", topics: ["events"], changelog: "sums-table", signal });
    for await (const claim of joined) {
      this.held.push(claim);
      claim.revoked.addEventListener("abort", () => void this.giveBack(claim), { once: true });
      this.tell();
    }
  }

  private async giveBack(claim: Claim): Promise<void> {
    await claim.release();
    this.held = this.held.filter((each) => each !== claim);
    this.given.push(claim.partition);
    this.tell();
  }

  private tell(): void {
    this.changed.resolve();
    this.changed = Promise.withResolvers<void>();
  }
}

/** Two instances on the same topics of their own. */
async function twoLogs() {
  const access = { brokers: (await testBrokers()).split(","), tls: null, sasl: null };
  const own = { prefix: freshPrefix(), create: true, defaults: {}, settings: {} };
  const open = () => openKafkaLog({ ...access, ...own, clientId: "test", nowMs: Date.now });
  const logs = [await open(), await open()] as const;
  const leaving = new AbortController();
  return {
    logs,
    signal: leaving.signal,
    makeAnew: async (spec: TopicSpec) => {
      const connections = new Connections({ ...access, clientId: "test" });
      const topics = new Topics(connections);
      await topics.remove([own.prefix + spec.name]);
      await topics.ensure([declared(own.prefix + spec.name, spec)]);
      await connections.close();
    },
    [Symbol.asyncDispose]: async () => {
      leaving.abort();
      await Promise.all(logs.map((log) => log.close()));
    },
  };
}

async function keyAt(log: KafkaLog, offset: bigint | null): Promise<string | null> {
  if (offset === null) return null;
  const range = { topic: "sums-table", partition: 0, from: offset, until: offset + 1n };
  for await (const [found] of log.read(range)) {
    return Buffer.from(found?.key ?? []).toString();
  }
  return null;
}

function record(topic: string, key: string) {
  return { topic, partition: 0, key: Buffer.from(key), value: Buffer.from("1") };
}
