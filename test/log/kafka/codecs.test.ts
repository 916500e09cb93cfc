import { describe, expect, test } from "bun:test";
import { CompressionTypes, type Kafka } from "kafkajs";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { Codec, compress, decompress } from "../../../src/log/kafka/codecs.ts";
import { MAX_BATCH_BYTES } from "../../../src/log/kafka/codecs-limit.ts";
import { freshPrefix, kafkaTest, testBrokers } from "../../kafka/broker.ts";
import { foreignClient, makeTopic, readValues } from "../../kafka/foreign-client.ts";

/** What compresses to literals, to short and long copies, to runs, and over many blocks. */
const VALUES: readonly Buffer[] = [
  Buffer.alloc(0),
  Buffer.from("a"),
  Buffer.from("account ".repeat(20_000)),
  Buffer.alloc(200_000, 7),
  noise(150_000),
  Buffer.concat([noise(70_000), noise(70_000)]),
  ...Array.from({ length: 500 }, (_, index) => Buffer.from(`sum of ${index * 37} at ${index}`)),
];

describe("what Java compressed is read", () => {
  for (const name of ["gzip", "snappy", "lz4", "zstd"] as const) {
    kafkaTest(`${name}, as the broker writes it`, async () => {
      // The broker compresses what comes to it in another way than its topic's.
      const { kafka, topic } = await topicOf({ "compression.type": name });
      await send(kafka, topic, CompressionTypes.None);
      expect(await readValues(kafka, topic, VALUES.length)).toEqual([...VALUES]);
    });
  }
});

kafkaTest("what we compress, Java reads", async () => {
  // The broker must unpack it to pack it anew.
  const { kafka, topic } = await topicOf({ "compression.type": "gzip" });
  await send(kafka, topic, CompressionTypes.ZSTD);
  expect(await readValues(kafka, topic, VALUES.length)).toEqual([...VALUES]);
});

test("what we compress is zstd, and comes back", () => {
  const bytes = Buffer.concat([...VALUES]);
  const compressed = compress(bytes);
  expect(compressed.readUInt32LE(0)).toBe(0xfd2fb528);
  expect(compressed.length).toBeLessThan(bytes.length);
  expect(decompress(Codec.zstd, compressed).equals(bytes)).toBe(true);
});

test("snappy without the Java client's frame is read: librdkafka sends it so", () => {
  // 12 bytes: the literal "abcd", then 8 bytes from 4 back; then with 2 and with 4 bytes for it.
  for (const copy of ["1104", "1e0400", "1f04000000"]) {
    const bytes = Buffer.from(`0c0c61626364${copy}`, "hex");
    expect(decompress(Codec.snappy, bytes).toString()).toBe("abcdabcdabcd");
  }
  // Two bytes for a literal's length.
  const long = Buffer.concat([Buffer.from("ac02f42b01", "hex"), Buffer.alloc(300, "x")]);
  expect(decompress(Codec.snappy, long).toString()).toBe("x".repeat(300));
});

test("LZ4 blocks that refer to earlier ones, and frames one behind the other, are read", () => {
  const header = "04224d18400000";
  const first = "05000000" + "40" + "61626364"; // the literal "abcd", and no copy
  const linked = "04000000" + "040400" + "00"; // 8 bytes from 4 back, in the block before
  const stored = "02000080" + "7879"; // "xy" as it is
  const frame = Buffer.from(`${header}${first}${linked}${stored}00000000`, "hex");
  expect(decompress(Codec.lz4, frame).toString()).toBe("abcdabcdabcdxy");
  const twice = Buffer.concat([frame, frame]);
  expect(decompress(Codec.lz4, twice).toString()).toBe("abcdabcdabcdxy".repeat(2));
});

describe("what is not a codec's bytes is corrupt", () => {
  const cases: readonly [title: string, codec: number, hex: string][] = [
    ["snappy: a copy from before the start", Codec.snappy, "08" + "00" + "61" + "0d04"],
    ["snappy: a distance of 0", Codec.snappy, "05" + "00" + "61" + "0100"],
    ["snappy: more than it says", Codec.snappy, "02" + "0861626364"],
    ["snappy: less than it says", Codec.snappy, "09" + "0861626364"],
    ["snappy: it says more than a batch may hold", Codec.snappy, "ffffffff0f" + "00"],
    ["snappy: nothing", Codec.snappy, ""],
    ["lz4: another format", Codec.lz4, "28b52ffd40000000000000"],
    ["lz4: a block that is cut off", Codec.lz4, "04224d18400000" + "05000000" + "40"],
    ["lz4: a copy from before the start", Codec.lz4, "04224d18400000" + "04000000" + "10610900"],
    ["gzip: other bytes", Codec.gzip, "00010203"],
    ["zstd: other bytes", Codec.zstd, "00010203"],
    ["a codec that Kafka does not have", 5, "00"],
  ];
  for (const [title, codec, hex] of cases) {
    test(title, () => {
      const read = () => decompress(codec, Buffer.from(hex, "hex"));
      expect(read).toThrow(expect.objectContaining({ name: "LogError", code: "corrupt" }));
    });
  }

  test("a batch that was made to fill the memory", () => {
    const zeros = Buffer.alloc(MAX_BATCH_BYTES + 1);
    const small = [
      [Codec.zstd, zstdCompressSync(zeros)],
      [Codec.gzip, gzipSync(zeros, { level: 1 })],
    ] as const;
    for (const [codec, bytes] of small) {
      expect(() => decompress(codec, bytes)).toThrow("codec");
    }
  });
});

async function topicOf(settings: Readonly<Record<string, string>>) {
  const kafka = foreignClient(await testBrokers());
  const topic = `${freshPrefix()}codec`;
  await makeTopic(kafka, topic, { settings: { ...settings, "max.message.bytes": "2000000" } });
  return { kafka, topic };
}

/** In one batch. */
async function send(kafka: Kafka, topic: string, compression: CompressionTypes): Promise<void> {
  const producer = kafka.producer();
  await producer.connect();
  try {
    const messages = VALUES.map((value) => ({ value, partition: 0 }));
    await producer.send({ topic, compression, messages, acks: -1 });
  } finally {
    await producer.disconnect();
  }
}

/** Always the same, and nothing that compresses. */
function noise(bytes: number): Buffer {
  const out = Buffer.alloc(bytes);
  let state = 1;
  for (let at = 0; at < bytes; at += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    out[at] = state >>> 24;
  }
  return out;
}
