/**
 * Which node of a cluster is its controller now: metadata names any broker, so its voters are
 * asked.
 *
 *   brokers ──DescribeQuorum──> leader of the metadata's own partition
 */

import { Connections } from "../../src/log/kafka/connections.ts";
import { ByteWriter } from "../../src/log/kafka/bytes.ts";
import { send } from "../../src/log/kafka/wire.ts";

const TOPIC = Buffer.from("__cluster_metadata");
const NO_TAGS = 0;
/** A flexible version counts a list's items and a text's bytes from one. */
const ONE_ITEM = 2;

export async function activeController(brokers: string): Promise<number> {
  const connections = new Connections({
    ...{ brokers: brokers.split(","), clientId: "look", tls: null, sasl: null },
  });
  try {
    const body = new ByteWriter().int8(NO_TAGS).int8(ONE_ITEM).int8(TOPIC.length + 1).bytes(TOPIC);
    body.int8(ONE_ITEM).int32(0).int8(NO_TAGS).int8(NO_TAGS).int8(NO_TAGS);
    const request = { apiKey: 55, apiVersion: 0, apiName: "DescribeQuorum", body };
    return await send(await connections.any(), request, (answer) => {
      answer.bytes(1); // no tags
      const errorCode = answer.int16();
      if (errorCode !== 0) throw new Error(`the quorum is not described: error ${errorCode}`);
      answer.bytes(1 + 1 + TOPIC.length + 1); // one topic, its name, one partition
      answer.int32(); // its index
      answer.int16(); // its error
      return answer.int32();
    });
  } finally {
    await connections.close();
  }
}
