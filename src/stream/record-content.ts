/**
 * What a record of any topic of the topology holds, for people: decoded as far as it goes.
 *
 *   stream ──codec──> message        dead letters ──> why, and the message that was refused
 *   changelog ──key split, row's codec──> row
 *
 * Nothing here is judged: whether a group would take the record its rules say.
 */

import type { LogRecord } from "../log/event-log.ts";
import { controlOf } from "./control.ts";
import { isDeadLetter, readDeadLetter } from "./dead-letter.ts";
import { readMark } from "./dead-letter-mark.ts";
import { deadLetterTopic, type Group, tableName } from "./group.ts";
import { ID_HEADER, idCodec } from "./ids.ts";
import { formatPosition } from "./position.ts";
import { ID_TAG, splitRowKey } from "./row-key.ts";
import type { Topology } from "./topology.ts";

export interface RecordContent {
  /** What a record is about: of a changelog the row's key, without kind and sub-key. */
  readonly key: Uint8Array;
  readonly id: Uint8Array | null;
  /** The message's type, or the row's kind; null where it can't be told. */
  readonly type: string | null;
  /** Undefined when there is none, or when it can't be read. */
  readonly message: unknown;
  /** Of a dead letter or a mark beside it: what it says. */
  readonly about: string | null;
}

/** The topics whose records can be told. */
export function readableTopics({ streams, groups }: Topology, keepsChangelogs: boolean): string[] {
  return [
    ...streams.map(({ topic }) => topic),
    ...groups.map(deadLetterTopic),
    ...(keepsChangelogs ? groups.map(tableName) : []),
  ];
}

export function contentOf(topology: Topology, record: LogRecord): RecordContent {
  const id = record.headers.find(([name]) => name === ID_HEADER)?.[1] ?? null;
  const ofLetters = topology.groups.find((group) => deadLetterTopic(group) === record.topic);
  const ofTable = topology.groups.find((group) => tableName(group) === record.topic);
  if (ofLetters !== undefined) return { id, key: record.key, ...letterOf(topology, record) };
  if (ofTable !== undefined) return { id, about: null, ...rowOf(ofTable, record) };
  const { key, topic, value } = record;
  const name = controlOf(record);
  if (name !== null) return { id, key, ...controlMessageOf(topology, { topic, value }, name) };
  return { id, key, about: null, ...messageOf(topology, topic, value) };
}

type Message = Pick<RecordContent, "type" | "message">;

function messageOf({ streams }: Topology, topic: string, value: Uint8Array | null): Message {
  const codec = streams.find((stream) => stream.topic === topic)?.codec;
  if (codec === undefined) return { type: null, message: undefined };
  return { type: codec.name, message: decoded(codec, value) };
}

/** Of a control record: what some group that reads the topic makes of it. */
function controlMessageOf(
  { groups }: Topology,
  { topic, value }: Pick<LogRecord, "topic" | "value">,
  name: string,
): Message & Pick<RecordContent, "about"> {
  const about = `control ${name}`;
  const inputs = groups.flatMap((group) => group.inputs);
  const ofTopic = inputs.filter(({ stream }) => stream.topic === topic);
  const codec = ofTopic.find(({ control }) => control?.name === name)?.control?.codec;
  if (codec === undefined) return { about, type: null, message: undefined };
  return { about, type: codec.name, message: decoded(codec, value) };
}

function letterOf(topology: Topology, record: LogRecord): Message & Pick<RecordContent, "about"> {
  if (isDeadLetter(record)) {
    const letter = readDeadLetter(record);
    const about = `${letter.topic}:${formatPosition(letter)} ${letter.reason}: ${letter.detail}`;
    return { about, ...messageOf(topology, letter.topic, record.value) };
  }
  const none = { type: null, message: undefined };
  const marked = readMark(record);
  if (marked === null) return { about: null, ...none };
  const { refused, mark } = marked;
  const name = `${refused.topic}:${formatPosition(refused)}`;
  return { about: `${name} ${mark.how} by ${mark.actor}: ${mark.reason}`, ...none };
}

function rowOf({ rows }: Group, { key, value }: LogRecord): Message & { readonly key: Uint8Array } {
  try {
    const split = splitRowKey(key);
    const kind = rows.find(({ tag }) => tag === split.tag);
    if (kind !== undefined) {
      return { key: split.key, type: kind.name, message: decoded(kind.codec, value) };
    }
    if (split.tag === ID_TAG && split.key.length > 0) {
      return { key: split.key, type: "id", message: decoded(idCodec, value) };
    }
    return { key: split.key, type: null, message: undefined };
  } catch {
    return { key, type: null, message: undefined }; // other clients may write there, too
  }
}

function decoded<M>(codec: { decode(bytes: Uint8Array): M }, value: Uint8Array | null): unknown {
  if (value === null) return undefined;
  try {
    return codec.decode(value);
  } catch {
    return undefined;
  }
}
