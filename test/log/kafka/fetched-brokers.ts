/**
 * Brokers that answer fetches as a test says, and a fetcher of them.
 *
 *   fetcher ──request's bytes──> asked ──the test──> answers ──bytes──> fetcher
 */

import { expect } from "bun:test";
import type { Connections, KnownTopic } from "../../../src/log/kafka/connections.ts";
import { Fetcher } from "../../../src/log/kafka/fetcher.ts";
import { FlexibleReader, FlexibleWriter } from "../../../src/log/kafka/flexible-bytes.ts";
import { storedBatch } from "./stored-batch.ts";

export const TOPIC = "events";
export const ID = "AQIDBAUGBwgJCgsMDQ4PEA";
export const OTHER_ID = "ERITFBUWFxgZGhscHR4fIA";

export interface Asked {
  readonly broker: number;
  readonly topicId: string;
  readonly partition: number;
  readonly offset: number;
  /** Of the whole fetch. */
  readonly maxBytes: number;
}

export interface Answer {
  readonly errorCode?: number;
  /** Of the whole answer, which then names no partition. */
  readonly wholeErrorCode?: number;
  readonly bytes?: Buffer;
  readonly start?: number;
  /** The last stable offset. */
  readonly end: number;
}

const open: Fetcher[] = [];

/** For `afterEach`. */
export function closeFetchers(): void {
  for (const fetcher of open.splice(0)) fetcher.close();
}

/** One batch a record, from an offset on; the end is behind the last. */
export function holding(values: readonly string[], from: number): Answer {
  const batches = values.slice(from).map((value, index) =>
    storedBatch({ at: from + index, values: [value] }),
  );
  return { bytes: Buffer.concat(batches), end: values.length };
}

export function brokersOf(
  answer: (asked: Asked, all: readonly { partition: number }[]) => Answer,
  leaders: {
    now: number;
    topicId?: string;
    forgotten?: number;
    withinMs?: number;
    /** What each fetch waits for. */
    before?: () => Promise<void>;
  } = { now: 1 },
): { readonly fetcher: Fetcher } {
  const connect = () => {
    let known: KnownTopic | null = null;
    const find = async () => {
      known = { id: leaders.topicId ?? ID, leaders: Array.from({ length: 4 }, () => leaders.now) };
      return known;
    };
    return {
      known: () => known,
      forget: () => {
        if (known !== null) leaders.forgotten = (leaders.forgotten ?? 0) + 1;
        known = null;
      },
      topicNow: find,
      leader: async () => {
        const [leader] = (await find()).leaders;
        await leaders.before?.();
        return brokerOf(leader as number, answer);
      },
    } as unknown as Connections;
  };
  const { withinMs } = leaders;
  const limits = withinMs === undefined ? {} : { withinMs };
  const fetcher = new Fetcher({ quick: connect(), waiting: connect(), ...limits });
  open.push(fetcher);
  return { fetcher };
}

function brokerOf(
  broker: number,
  answer: (asked: Asked, all: readonly { partition: number }[]) => Answer,
) {
  const send = async ({ request, response }: {
    readonly request: { encode(): Promise<{ readonly buffer: Buffer }> };
    readonly response: { decode(payload: Buffer): Promise<unknown> };
  }) => {
    const { waitMs, maxBytes, asked } = readFetch((await request.encode()).buffer);
    const answers = asked.map((each) => ({
      ...each,
      ...answer({ ...each, broker, maxBytes }, asked),
    }));
    const isIdle = answers.every(({ bytes = "", errorCode = 0 }) => bytes.length + errorCode === 0);
    if (waitMs > 0 && isIdle) await Bun.sleep(5); // as a broker waits for the first byte
    return response.decode(writeFetched(answers));
  };
  return { connectionPool: { send } };
}

function readFetch(bytes: Buffer) {
  const reader = new FlexibleReader(bytes);
  reader.skipTags();
  reader.int32();
  const waitMs = reader.int32();
  reader.int32();
  const maxBytes = reader.int32();
  reader.bytes(1 + 4 + 4);
  const asked = reader
    .compactArray(() => {
      const topicId = reader.uuid();
      const partitions = reader.compactArray(() => {
        const partition = reader.int32();
        reader.int32();
        const offset = Number(reader.int64());
        reader.bytes(4 + 8 + 4);
        reader.skipTags();
        return { topicId, partition, offset };
      });
      reader.skipTags();
      return partitions;
    })
    .flat();
  const partitions = asked.map(({ topicId, partition }) => `${topicId} ${partition}`);
  expect(new Set(partitions).size).toBe(partitions.length); // a broker keeps one of them only
  return { waitMs, maxBytes, asked };
}

function writeFetched(
  answers: readonly (Answer & { readonly topicId: string; readonly partition: number })[],
): Buffer {
  const wholeErrorCode = answers.find((each) => each.wholeErrorCode)?.wholeErrorCode ?? 0;
  const writer = new FlexibleWriter().noTags().int32(0).int16(wholeErrorCode).int32(0);
  const named = wholeErrorCode === 0 ? answers : [];
  writer.compactArray([...Map.groupBy(named, ({ topicId }) => topicId)], ([topicId, each]) => {
    writer.uuid(topicId);
    writer.compactArray(each, (answer) => writeAnswer(writer, answer)).noTags();
  });
  return writer.noTags().done();
}

function writeAnswer(
  writer: FlexibleWriter,
  {
    partition,
    errorCode = 0,
    bytes = Buffer.alloc(0),
    start = 0,
    end,
  }: Answer & { readonly partition: number },
): void {
  writer.int32(partition).int16(errorCode).int64(BigInt(end)).int64(BigInt(end));
  writer.int64(BigInt(start)).compactArray([], () => {}).int32(-1);
  writer.compactArray([...bytes], (byte) => writer.int8((byte << 24) >> 24)).noTags();
}
