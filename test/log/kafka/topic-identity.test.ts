/** A topic that was deleted and made again under its name is another one to whoever reads it. */

import { expect } from "bun:test";
import { LogError, type LogRecord } from "../../../src/log/event-log.ts";
import { Appender } from "../../../src/log/kafka/appender.ts";
import { Connections } from "../../../src/log/kafka/connections.ts";
import type { Cursor } from "../../../src/log/kafka/cursor.ts";
import { Fetcher } from "../../../src/log/kafka/fetcher.ts";
import { declared, Topics } from "../../../src/log/kafka/topics.ts";
import { until } from "../../end-to-end/program.ts";
import { freshPrefix, kafkaTest, testBrokers } from "../../kafka/broker.ts";
import { ApiKey, BrokenLine } from "./broken-line.ts";

const PARTITION = 1;
const PARTITIONS = 2;

kafkaTest("a topic made anew is not read on where the reader stood in the old one", async () => {
  await using scene = await Scene.open();
  await scene.append(["a", "b", "c"]);
  const cursor = scene.read(0n);
  expect(await taken(cursor, 3)).toEqual(["a", "b", "c"]);
  await scene.makeAnew(["v", "w", "x", "y", "z"]);
  const error = await taken(cursor, 1).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(LogError);
  expect(error).toMatchObject({
    code: "topic_changed",
    message:
      `topic ${scene.topic} was made anew, while partition ${PARTITION} was read from offset 3 ` +
      "on: restore the topic, or start the group anew",
  });
});

kafkaTest("what was read of the old topic is handed out before it is told", async () => {
  await using scene = await Scene.open();
  await scene.append(["a", "b", "c"]);
  const cursor = scene.read(0n);
  await until(() => cursor.fetchOffset === 3n, () => `fetched to ${cursor.fetchOffset}`);
  await scene.makeAnew(["v", "w", "x", "y", "z"]);
  await until(() => cursor.failure !== null, () => "the new topic is read on");
  expect(await taken(cursor, 3)).toEqual(["a", "b", "c"]);
  expect(() => cursor.take(1)).toThrow("was made anew");
});

kafkaTest("a reader that is opened when a topic was made anew reads the new one", async () => {
  await using scene = await Scene.open();
  await scene.append(["a", "b", "c"]);
  const first = scene.read(0n);
  expect(await taken(first, 3)).toEqual(["a", "b", "c"]);
  first.close(); // but its connections know the topic
  await scene.makeAnew(["v", "w", "x", "y", "z"]);
  expect(await taken(scene.read(2n), 3)).toEqual(["x", "y", "z"]);
});

/** A topic, and a reader of it whose fetches are lost while it is made anew. */
class Scene implements AsyncDisposable {
  readonly topic = `${freshPrefix()}events`;

  private constructor(
    private readonly line: BrokenLine,
    private readonly direct: Connections,
    private readonly lines: readonly Connections[],
    private readonly fetcher: Fetcher,
  ) {}

  static async open(): Promise<Scene> {
    const line = await BrokenLine.open();
    const brokers = (await testBrokers()).split(",");
    const direct = new Connections({ brokers, clientId: "test", tls: null, sasl: null });
    const [quick, waiting] = [line.connections(), line.connections()];
    const fetcher = new Fetcher({ quick, waiting });
    const scene = new Scene(line, direct, [quick, waiting], fetcher);
    await scene.make();
    return scene;
  }

  read(from: bigint): Cursor {
    return this.fetcher.open({ topic: this.topic, partition: PARTITION }, from);
  }

  async append(values: readonly string[]): Promise<void> {
    const appender = new Appender({ connections: this.direct, nowMs: Date.now, step: () => {} });
    const place = { topic: this.topic, partition: PARTITION };
    const key = Buffer.from("key");
    await appender.append(values.map((value) => ({ ...place, key, value: Buffer.from(value) })));
    await appender.close();
  }

  /** Nobody reads anything between the old topic and the last of these records. */
  async makeAnew(values: readonly string[]): Promise<void> {
    this.line.fate = (apiKey) => (apiKey === ApiKey.fetch ? "lose request" : "pass");
    await new Topics(this.direct).remove([this.topic]);
    await this.make();
    await this.append(values);
    this.line.fate = () => "pass";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.fetcher.close();
    await Promise.all([this.direct, ...this.lines].map((each) => each.close()));
    await this.line[Symbol.asyncDispose]();
  }

  private async make(): Promise<void> {
    const spec = { name: "events", partitions: PARTITIONS, cleanup: "keep", retentionMs: null };
    const topic = declared(this.topic, spec as Parameters<typeof declared>[1]);
    await new Topics(this.direct).ensure([topic]);
  }
}

async function taken(cursor: Cursor, count: number): Promise<string[]> {
  const found: LogRecord[] = [];
  while (found.length < count) {
    const change = cursor.changed();
    const records = cursor.take(count - found.length);
    found.push(...records);
    if (records.length === 0) await change;
  }
  return found.map(({ value }) => String(value));
}
