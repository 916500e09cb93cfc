import { expect, test } from "bun:test";
import { LogError } from "../../../src/log/event-log.ts";
import { ByteWriter } from "../../../src/log/kafka/bytes.ts";
import type { Connections } from "../../../src/log/kafka/connections.ts";
import { sendOnce } from "../../../src/log/kafka/sending.ts";
import { ErrorCode } from "../../../src/log/kafka/wire.ts";

const BATCH = { topic: "events", partition: 0, bytes: Buffer.alloc(0) };
/** Kafka's UNKNOWN_SERVER_ERROR, and one that is not invented yet. */
const NOT_KNOWN = [-1, 32_000];

test("what may have been written is told from what was surely not", async () => {
  const { notLeader, requestTimedOut, kafkaStorageError, notEnoughReplicasAfterAppend } = ErrorCode;
  // A leader that is deposed while it waits for its replicas says so of records that it has.
  const written = [notLeader, requestTimedOut, kafkaStorageError, notEnoughReplicasAfterAppend];
  for (const code of [...written, ...NOT_KNOWN]) {
    expect([code, await outcomeOf(code)]).toEqual([code, "again, may be written"]);
  }
  for (const code of [ErrorCode.leaderNotAvailable, ErrorCode.notEnoughReplicas]) {
    expect([code, await outcomeOf(code)]).toEqual([code, "again"]);
  }
  for (const code of [ErrorCode.outOfOrderSequence, ErrorCode.producerFenced]) {
    expect([code, await outcomeOf(code)]).toEqual([code, "unavailable"]);
  }
  expect(await outcomeOf(ErrorCode.messageTooLarge)).toBe("unavailable");
});

test("a lost answer may be of what was written, a lost connect is not", async () => {
  const lost = Object.assign(new Error("gone"), { name: "KafkaJSConnectionError" });
  const refuses = { leader: () => Promise.reject(lost) };
  expect(await sent(refuses)).toBe("again");
  const loses = { leader: async () => ({ connectionPool: { send: () => Promise.reject(lost) } }) };
  expect(await sent(loses)).toBe("again, may be written");
  const breaks = { leader: () => Promise.reject(new TypeError("of this program")) };
  expect(await sent(breaks)).toBe("unavailable");
});

function outcomeOf(errorCode: number): Promise<string> {
  const answer = new ByteWriter().int32(1).string(BATCH.topic).int32(1).int32(BATCH.partition);
  answer.int16(errorCode).int64(7n).int64(-1n).int64(0n).int32(0);
  const send = ({ response }: { response: { decode(bytes: Buffer): Promise<unknown> } }) =>
    response.decode(answer.done());
  return sent({ leader: async () => ({ connectionPool: { send } }) });
}

async function sent(connections: object): Promise<string> {
  const fake = { forget: () => {}, ...connections } as unknown as Connections;
  const [outcome] = await sendOnce(fake, [BATCH], null);
  if (outcome?.kind === "again") return outcome.mayBeWritten ? "again, may be written" : "again";
  if (outcome?.kind !== "refused") throw new Error("no outcome");
  expect(outcome.error).toBeInstanceOf(LogError);
  return outcome.error.code;
}
