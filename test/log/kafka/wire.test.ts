/** Requests and answers, byte by byte, as Kafka 4.1.1's own classes write them. */

import { expect, test } from "bun:test";
import type Broker from "kafkajs/src/broker/index.js";
import { fetch } from "../../../src/log/kafka/fetch-request.ts";
import { NO_UUID } from "../../../src/log/kafka/flexible-bytes.ts";
import { ErrorCode, metadata } from "../../../src/log/kafka/wire.ts";

/** Kafka's Uuid.toString of the bytes 01 to 10, and 11 to 20. */
const ONE = "AQIDBAUGBwgJCgsMDQ4PEA";
const TWO = "ERITFBUWFxgZGhscHR4fIA";
const ONE_BYTES = "0102030405060708090a0b0c0d0e0f10";
const TWO_BYTES = "1112131415161718191a1b1c1d1e1f20";
/** Tagged fields of a header: none. */
const NO_TAGS = "00";

test("a fetch names topics by their ids, and partitions by topic", async () => {
  const { broker, sent } = answering(`${NO_TAGS}0000000000000000000001${NO_TAGS}`);
  await fetch(broker, {
    waitMs: 500,
    bytes: 1_048_576,
    partitionBytes: 1_000,
    partitions: [
      { topicId: ONE, partition: 0, offset: 7n },
      { topicId: TWO, partition: 1, offset: 9n },
      { topicId: ONE, partition: 2, offset: 8n },
    ],
  });
  const partition = (which: string, offset: string) =>
    `${which}ffffffff${offset}ffffffffffffffffffffffff000003e800`;
  expect(sent).toEqual([
    {
      apiKey: 1,
      apiVersion: 13,
      body: [
        `${NO_TAGS}ffffffff000001f400000001001000000100000000ffffffff03`,
        `${ONE_BYTES}03`,
        partition("00000000", "0000000000000007"),
        `${partition("00000002", "0000000000000008")}00`,
        `${TWO_BYTES}02`,
        `${partition("00000001", "0000000000000009")}00`,
        "010100",
      ].join(""),
    },
  ]);
});

test("an answer to a fetch is read past what is null, empty, or tagged", async () => {
  const { broker } = answering(
    [
      `${NO_TAGS}0000000000000000000003`,
      `${ONE_BYTES}03`,
      "000000000000000000000000001400000000000000120000000000000003",
      "020000000000000005000000000000000600ffffffff0401020300",
      // No transactions and no records, both null, and who leads now in a tagged field.
      "000000020006ffffffffffffffffffffffffffffffffffffffffffffffff00ffffffff00",
      "010109000000040000000900",
      "00",
      `${TWO_BYTES}02`,
      "000000010064ffffffffffffffffffffffffffffffffffffffffffffffff01ffffffff0100",
      "00",
      "00",
    ].join(""),
  );
  const found = await fetch(broker, { waitMs: 0, bytes: 1, partitionBytes: 1, partitions: [] });
  const records = Buffer.alloc(0);
  const nothing = { lastStableOffset: -1n, startOffset: -1n, aborted: [], records };
  expect(found).toEqual([
    {
      ...{ topicId: ONE, partition: 0, errorCode: 0, lastStableOffset: 18n, startOffset: 3n },
      aborted: [{ producerId: 5n, firstOffset: 6n }],
      records: Buffer.from([1, 2, 3]),
    },
    { topicId: ONE, partition: 2, errorCode: ErrorCode.notLeader, ...nothing },
    { topicId: TWO, partition: 1, errorCode: ErrorCode.unknownTopicId, ...nothing },
  ]);
});

test("metadata is asked for of topics by name, of all, or of none", async () => {
  const { broker, sent } = answering(METADATA_ANSWER);
  await metadata(broker, ["events"]);
  await metadata(broker, null);
  await metadata(broker, []);
  await metadata(broker, [], { tellsRights: true });
  const asked = { apiKey: 3, apiVersion: 12 };
  expect(sent).toEqual([
    { ...asked, body: `${NO_TAGS}0200000000000000000000000000000000076576656e747300000000` },
    { ...asked, body: `${NO_TAGS}00000000` },
    { ...asked, body: `${NO_TAGS}01000000` },
    { ...asked, body: `${NO_TAGS}01000100` },
  ]);
});

test("metadata has each topic's id and its leaders, and a missing topic has neither", async () => {
  const { broker } = answering(METADATA_ANSWER);
  expect(await metadata(broker, null)).toEqual({
    brokers: [
      { nodeId: 1, host: "one", port: 9_092 },
      { nodeId: 2, host: "two", port: 9_093 },
    ],
    clusterId: "cluster",
    topics: [
      {
        ...{ name: "events", id: ONE, errorCode: 0, isInternal: true },
        ...{ leaders: [-1, 2], replicas: 2, mayWrite: true },
      },
      {
        ...{ name: "gone", id: NO_UUID, errorCode: ErrorCode.unknownTopicOrPartition },
        ...{ isInternal: false, leaders: [], replicas: Infinity, mayWrite: null },
      },
    ],
  });
});

const METADATA_ANSWER = [
  `${NO_TAGS}0000000003`,
  "00000001046f6e6500002384057261636b00",
  "000000020474776f000023850000",
  "08636c757374657200000002",
  `030000076576656e7473${ONE_BYTES}0103`,
  "00000000000100000002000000070300000002000000010200000002020000000100",
  "000500000000ffffffff0000000704000000010000000200000003010100",
  "0000001000",
  "000305676f6e65000000000000000000000000000000000001800000000000",
].join("");

/** A broker that answers everything with these bytes, and keeps what it was sent. */
function answering(hex: string) {
  const sent: { apiKey: number; apiVersion: number; body: string }[] = [];
  const send = async ({ request, response }: {
    readonly request: {
      readonly apiKey: number;
      readonly apiVersion: number;
      encode(): Promise<{ readonly buffer: Buffer }>;
    };
    readonly response: { decode(payload: Buffer): Promise<unknown> };
  }) => {
    const { apiKey, apiVersion } = request;
    const body = (await request.encode()).buffer.toString("hex");
    sent.push({ apiKey, apiVersion, body });
    return response.decode(Buffer.from(hex, "hex"));
  };
  return { broker: { connectionPool: { send } } as unknown as Broker, sent };
}
