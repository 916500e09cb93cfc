/** A claim's commits: the offsets that its progress names. */

import { expect } from "bun:test";
import type { Claim, LogRecord } from "../../../src/log/event-log.ts";
import { type KafkaLog, openKafkaLog } from "../../../src/log/kafka/kafka-log.ts";
import { freshPrefix, kafkaTest, testBrokers } from "../../kafka/broker.ts";

const WEEK_MS = 604_800_000;

kafkaTest("progress names the offset of the last row, whoever else wrote there", async () => {
  const access = { brokers: (await testBrokers()).split(","), tls: null, sasl: null };
  const own = { prefix: freshPrefix(), create: true, defaults: {}, settings: {} };
  const open = () => openKafkaLog({ ...access, ...own, clientId: "test", nowMs: Date.now });
  const [log, other] = [await open(), await open()];
  const leaving = new AbortController();
  try {
    const common = { partitions: 1 };
    await log.ensureTopics([
      { ...common, name: "events", cleanup: "keep", retentionMs: null },
      { ...common, name: "sums-table", cleanup: "compact", retentionMs: WEEK_MS },
    ]);
    await log.append([1, 2, 3].map((n) => record("events", `event ${n}`)));
    const claim = await claimOf(log, leaving.signal);
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
    await claim.release();
  } finally {
    leaving.abort();
    await Promise.all([log.close(), other.close()]);
  }
});

async function claimOf(log: KafkaLog, signal: AbortSignal): Promise<Claim> {
  const claims = log.join({ group: "sums", topics: ["events"], changelog: "sums-table", signal });
  const next = await claims.next();
  if (next.done === true) throw new Error("no claim came");
  void claims.next().catch(() => {}); // the membership goes on until the signal fires
  return next.value;
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
