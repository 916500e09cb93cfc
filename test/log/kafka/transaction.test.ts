/** Transactions whose owner never comes back, on a real broker. */

import { expect } from "bun:test";
import { LogError, type NewRecord } from "../../../src/log/event-log.ts";
import { Appender } from "../../../src/log/kafka/appender.ts";
import { Connections } from "../../../src/log/kafka/connections.ts";
import { Fetcher } from "../../../src/log/kafka/fetcher.ts";
import { TRANSACTION_TIMEOUT_MS } from "../../../src/log/kafka/limits.ts";
import { readRange, stableBounds } from "../../../src/log/kafka/offsets.ts";
import { declared, Topics } from "../../../src/log/kafka/topics.ts";
import { openTransactions } from "../../../src/log/kafka/transaction.ts";
import { freshPrefix, kafkaTest, testBrokers } from "../../kafka/broker.ts";

/** Brokers look every 10 s unless told; those of the tests every second. */
const LOOKS_EVERY_MS = 10_000;
const TEST_MS = 60_000;

kafkaTest("an owner that hangs in a transaction holds readers up for its time-out", async () => {
  const brokers = (await testBrokers()).split(",");
  const connect = () => new Connections({ brokers, clientId: "test", tls: null, sasl: null });
  const connections = connect();
  const [quick, waiting] = [connect(), connect()];
  const fetcher = new Fetcher({ quick, waiting });
  const appender = new Appender({ connections, nowMs: Date.now, step: () => {} });
  const name = `${freshPrefix()}events`;
  const spec = { name: "events", partitions: 1, cleanup: "keep", retentionMs: null } as const;
  await new Topics(connections).ensure([declared(name, spec)]);
  const place = { topic: name, partition: 0 };
  const record = (value: string): NewRecord => ({
    ...place,
    key: Buffer.from("key"),
    value: Buffer.from(value),
  });

  const startMs = performance.now();
  const owner = await openTransactions({ connections, transactionalId: name, nowMs: Date.now });
  await owner.begin([place]);
  expect(await owner.write([record("hanging")])).toEqual([0n]);
  expect(await appender.append([record("behind")])).toEqual([1n]);
  expect(await stableBounds(connections, place)).toEqual({ start: 0n, end: 0n });

  const range = { from: 0n, until: 2n };
  const withinMs = TRANSACTION_TIMEOUT_MS + 2 * LOOKS_EVERY_MS;
  const found = await readRange(fetcher, place, range, withinMs);
  const heldUpMs = performance.now() - startMs;
  expect(found.map(({ offset, value }) => [offset, String(value)])).toEqual([[1n, "behind"]]);
  expect(heldUpMs).toBeGreaterThan(TRANSACTION_TIMEOUT_MS - 1_000); // its clock is the broker's
  expect(heldUpMs).toBeLessThan(withinMs);

  // When it comes back all the same, it commits nothing.
  const refused = await owner.commit().catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(LogError);
  expect((refused as LogError).code).toBe("fenced");
  await appender.close();
  fetcher.close();
  await Promise.all([connections, quick, waiting].map((each) => each.close()));
}, TEST_MS);
