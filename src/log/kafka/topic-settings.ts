/**
 * Changing some settings of topics and leaving the others: IncrementalAlterConfigs, version 0.
 *
 *   topic, setting, value ──one request──> the broker's answer for each topic
 *
 * kafkajs knows only AlterConfigs, which takes away every setting that it does not name: those
 * that an operator has set for reasons of his own, too. Brokers from 2.3 on know this request.
 *
 * Source: the Kafka protocol guide; KIP-339.
 */

import type Broker from "kafkajs/src/broker/index.js";
import { LogError } from "../event-log.ts";
import { ByteWriter } from "./bytes.ts";
import { ErrorCode, send } from "./wire.ts";

export const TOPIC_RESOURCE = 2;
const SET = 0;

export interface TopicSettings {
  /** As the cluster has it. */
  readonly name: string;
  readonly settings: Readonly<Record<string, string>>;
}

/** Throws `topic_mismatch` for the first topic whose settings the broker refuses. */
export async function changeTopicSettings(
  broker: Broker,
  topics: readonly TopicSettings[],
): Promise<void> {
  const body = new ByteWriter().int32(topics.length);
  for (const { name, settings } of topics) {
    const entries = Object.entries(settings);
    body.int8(TOPIC_RESOURCE).string(name).int32(entries.length);
    for (const [setting, value] of entries) body.string(setting).int8(SET).string(value);
  }
  body.int8(0); // not only validated
  const request = { apiKey: 44, apiVersion: 0, apiName: "IncrementalAlterConfigs", body };
  const results = await send(broker, request, (answer) => {
    answer.int32(); // throttle time: the broker has waited
    return answer.array(() => {
      const errorCode = answer.int16();
      const message = answer.string();
      answer.int8(); // a topic, as asked
      return { errorCode, message, name: answer.string() ?? "" };
    });
  });
  const refused = results.find(({ errorCode }) => errorCode !== ErrorCode.none);
  if (refused === undefined) return;
  const { name, message, errorCode } = refused;
  throw new LogError(
    "topic_mismatch",
    `the broker refuses the settings of topic ${name}: ${message ?? `error ${errorCode}`}`,
  );
}
