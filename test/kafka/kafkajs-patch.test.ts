import { describe, expect, test } from "bun:test";
import { createRequire } from "node:module";
import { connect, type Socket } from "node:net";
import { freshPrefix, kafkaTest, testBrokers } from "./broker.ts";
import { foreignClient, makeTopic, readValues } from "./foreign-client.ts";

/** kafkajs's own modules: what is patched lies below its public surface. */
const inside = createRequire(import.meta.resolve("kafkajs"));

interface FetchedRecord {
  readonly offset: string;
  readonly key: Buffer;
  readonly isControlRecord: boolean;
  readonly batchContext: { readonly producerId: string; readonly inTransaction: boolean };
}

interface AbortedTransaction {
  readonly producerId: string;
  readonly firstOffset: string;
}

describe("aborted records are not delivered", () => {
  const filter = inside("./src/consumer/filterAbortedMessages.js") as (fetched: {
    readonly messages: readonly FetchedRecord[];
    readonly abortedTransactions: readonly AbortedTransaction[];
  }) => readonly FetchedRecord[];
  const offsets = (messages: FetchedRecord[], ...aborted: [string, number][]) => {
    const abortedTransactions = aborted.map(([producerId, firstOffset]) => ({
      producerId,
      firstOffset: String(firstOffset),
    }));
    return filter({ messages, abortedTransactions })
      .filter(({ isControlRecord }) => !isControlRecord)
      .map(({ offset }) => Number(offset));
  };

  test("when the transaction that began later is aborted first", () => {
    // The broker lists them as they ended.
    const messages = [data(0, "a"), data(1, "b"), data(2, "a"), abort(3, "b"), abort(4, "a")];
    expect(offsets([...messages, data(5, "c")], ["b", 1], ["a", 0])).toEqual([5]);
  });

  test("when a fetch starts inside two of them", () => {
    const messages = [data(7, "b"), data(8, "a"), abort(9, "a"), abort(10, "b"), data(11, "b")];
    expect(offsets(messages, ["a", 2], ["b", 3])).toEqual([11]);
  });

  test("when a record's key is four zero bytes, as an abort marker's", () => {
    const messages = [data(0, "a", Buffer.alloc(4)), data(1, "a"), abort(2, "a"), data(3, "a")];
    expect(offsets(messages, ["a", 0])).toEqual([3]);
  });

  test("and a committed record with such a key is", () => {
    const messages = [data(0, "a", Buffer.alloc(4)), data(1, "b"), abort(2, "b")];
    expect(offsets(messages, ["b", 1])).toEqual([0]);
  });
});

test("a record batch with a flipped bit is refused", async () => {
  const { RecordBatch } = inside("./src/protocol/recordBatch/v0/index.js") as {
    RecordBatch(options: object): Promise<{ readonly buffer: Buffer }>;
  };
  const decode = inside("./src/protocol/recordBatch/v0/decoder.js") as (
    decoder: object,
  ) => Promise<{ readonly firstOffset: string }>;
  const Decoder = inside("./src/protocol/decoder.js") as new (bytes: Buffer) => object;
  const { buffer } = await RecordBatch({ records: [] });
  expect((await decode(new Decoder(Buffer.from(buffer)))).firstOffset).toBe("0");
  for (let at = 21; at < buffer.length; at += 1) {
    const broken = Buffer.from(buffer);
    broken.writeUInt8(broken.readUInt8(at) ^ 1, at);
    expect(decode(new Decoder(broken))).rejects.toThrow("is corrupt");
  }
});

test("bytes that are no Buffer are written as bytes", () => {
  const Encoder = inside("./src/protocol/encoder.js") as new () => {
    readonly buffer: Buffer;
    writeBytes(bytes: Uint8Array): void;
    writeVarIntBytes(bytes: Uint8Array): void;
  };
  const encoder = new Encoder();
  encoder.writeBytes(new Uint8Array([1, 2, 3]));
  encoder.writeVarIntBytes(new Uint8Array([4, 5]));
  expect(encoder.buffer.toString("hex")).toBe("00000003010203" + "040405");
});

test("a connection with nothing to send sets no timer", () => {
  interface RequestQueue {
    readonly throttleCheckTimeoutId: unknown;
    checkPendingRequests(): void;
    push(request: object): void;
    fulfillRequest(answer: object): void;
    destroy(): void;
  }
  const Queue = inside("./src/network/requestQueue/index.js") as new (
    options: object,
  ) => RequestQueue;
  const logger = { debug: () => {}, warn: () => {} };
  const queue = new Queue({ logger, requestTimeout: 1_000, enforceRequestTimeout: false });
  const request = (correlationId: number) => ({
    entry: { correlationId, resolve: () => {}, reject: () => {} },
    expectResponse: true,
    sendRequest: () => {},
  });
  queue.push(request(1));
  queue.fulfillRequest({ correlationId: 1, size: 0, payload: null });
  expect(queue.throttleCheckTimeoutId).toBeNull();
  queue.destroy();
  queue.checkPendingRequests();
  expect(queue.throttleCheckTimeoutId).toBeNull();
});

kafkaTest("a record for a partition that the topic lacks is refused, not dropped", async () => {
  const kafka = foreignClient(await testBrokers(), { retry: { retries: 0 } });
  const topic = `${freshPrefix()}lacks`;
  await makeTopic(kafka, topic, { partitions: 2 });
  const producer = kafka.producer();
  await producer.connect();
  try {
    const send = producer.send({ topic, messages: [{ value: "a", partition: 2 }] });
    expect(await failureOf(send)).toContain(`${topic} has no partition 2`);
  } finally {
    await producer.disconnect();
  }
});

kafkaTest("after a lost answer a producer acknowledges nothing that was not written", async () => {
  const kafka = foreignClient(await testBrokers());
  const topic = `${freshPrefix()}lost`;
  await makeTopic(kafka, topic);
  const line = new Line();
  const producer = foreignClient(await testBrokers(), {
    retry: { initialRetryTime: 50, retries: 1 }, // an idempotent one must have a retry
    socketFactory: line.connect,
  }).producer({ idempotent: true });
  await producer.connect();
  const send = (value: string) => producer.send({ topic, messages: [{ value }] });
  try {
    await send("first");
    line.loseAnswers(2); // of the request, and of its retry
    expect(await failureOf(send("written, and its answer lost"))).not.toBeNull();
    // Without the patch: answered with success as a repeat of the one above, and not written.
    expect(await failureOf(send("not sent"))).toContain("Nothing was sent");
  } finally {
    await producer.disconnect();
  }
  const values = (await readValues(kafka, topic, 2)).map(String);
  expect(values).toEqual(["first", "written, and its answer lost"]);
});

kafkaTest("a position outside the log stops a consumer, and is not replaced", async () => {
  const kafka = foreignClient(await testBrokers());
  const topic = `${freshPrefix()}outside`;
  await makeTopic(kafka, topic);
  const consumer = kafka.consumer({
    groupId: `${topic}-reader`,
    maxWaitTimeInMs: 100,
    retry: { retries: 0, restartOnFailure: async () => false },
  });
  const crashed = Promise.withResolvers<Error>();
  consumer.on(consumer.events.CRASH, ({ payload }) => crashed.resolve(payload.error));
  const joined = Promise.withResolvers<void>();
  consumer.on(consumer.events.GROUP_JOIN, () => joined.resolve());
  await consumer.connect();
  try {
    await consumer.subscribe({ topic });
    await consumer.run({ eachMessage: async () => {} });
    await joined.promise;
    consumer.seek({ topic, partition: 0, offset: "1000" });
    expect((await crashed.promise).message).toContain(`out of range in partition 0 of ${topic}`);
  } finally {
    await consumer.disconnect();
  }
});

/** Sockets that can be made to break at the next answers. */
class Line {
  private losing = 0;

  readonly connect = (options: {
    readonly host: string;
    readonly port: number;
    readonly onConnect: () => void;
  }): Socket => {
    const socket = connect({ host: options.host, port: options.port }, options.onConnect);
    const emit = socket.emit.bind(socket) as (event: string, ...rest: unknown[]) => boolean;
    socket.emit = (event: string, ...rest: unknown[]) => {
      if (event !== "data" || this.losing === 0) return emit(event, ...rest);
      this.losing -= 1;
      socket.destroy(new Error("the line broke"));
      return true;
    };
    return socket;
  };

  loseAnswers(count: number): void {
    this.losing = count;
  }
}

/** The message it rejects with; null when it resolves. */
async function failureOf(promise: Promise<unknown>): Promise<string | null> {
  return promise.then(
    () => null,
    (error: Error) => error.message,
  );
}

function data(offset: number, producerId: string, key = Buffer.from("key")): FetchedRecord {
  const batchContext = { producerId, inTransaction: true };
  return { offset: String(offset), key, isControlRecord: false, batchContext };
}

function abort(offset: number, producerId: string): FetchedRecord {
  return { ...data(offset, producerId, Buffer.alloc(4)), isControlRecord: true };
}
