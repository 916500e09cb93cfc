/**
 * Replaying a dead letter: what is to be written so that the group which refused a record takes it
 * now, once, and no other group takes it again.
 *
 *   letter's record ──still refused?──> why not
 *      └── no ──id counted already?──> where
 *             └── no ──> the record in its key's partition, `for-group`, with an id
 *
 * The id is the record's own or, lacking one, `<topic>:<partition>-<offset>` of where it stood, so
 * that a letter replayed twice, or in several groups, is counted once in each. Where its own id
 * was counted with another fingerprint, it never can be taken under it; `newId` then gives it one
 * made of the first record's place and its own fingerprint. So a client's retries, each a letter of
 * its own, are one record still.
 */

import {
  type Headers,
  type LogRecord,
  MAX_RECORD_BYTES,
  type NewRecord,
} from "../log/event-log.ts";
import { controlOf } from "./control.ts";
import type { DeadLetterReason } from "./dead-letter.ts";
import { FOR_GROUP_HEADER } from "./for-group.ts";
import type { Group, Input } from "./group.ts";
import { ID_HEADER, type IdRow } from "./ids.ts";
import { partitionOf } from "./partitioner.ts";
import { formatPosition, type Position } from "./position.ts";
import { decodeRecord } from "./record-runner.ts";
import type { StreamPosition } from "./settling.ts";

/** A record as it was when it was refused. */
export interface Refused extends StreamPosition {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
  readonly headers: Headers;
}

/** What `planReplay` has found, and what is to be done. */
export type ReplayPlan = ReplayRefusal | AlreadyCounted | Replay;

export interface ReplayRefusal {
  readonly kind: "refused";
  /** The group's own word; or it cannot be written; or `newId` where its own id can be taken. */
  readonly problem: DeadLetterReason | "unwritable" | "id_is_free";
  readonly why: string;
}

/** Its id was counted with the same fingerprint: there is nothing to write. */
export interface AlreadyCounted {
  readonly kind: "counted";
  readonly id: string;
  readonly position: Position;
}

export interface Replay {
  readonly kind: "append";
  readonly id: string;
  readonly key: string;
  readonly record: NewRecord;
}

export interface ReplayOptions {
  readonly group: Group;
  readonly partitions: number;
  /** The time at which it will be taken, for validation. */
  readonly nowMs: number;
  /** What the group has counted; null for an id that it has not. */
  readonly idRow: (key: string, source: { topic: string; id: string }) => IdRow | null;
  /** Take it under another id, where its own was counted with another fingerprint. */
  readonly newId: boolean;
}

export function planReplay(refused: Refused, options: ReplayOptions): ReplayPlan {
  const taken = take(refused, options);
  if ("problem" in taken) return taken;
  const { input, message, key, id } = taken;
  const partition = partitionOf(refused.key, options.partitions);
  const append = () => toAppend(refused, { ...options, key, id });
  if (input.fingerprint === undefined) return append();
  const fingerprint = input.fingerprint(message);
  const known = options.idRow(key, { topic: refused.topic, id });
  const isConflict = known !== null && known.fingerprint !== fingerprint;
  if (options.newId && !isConflict) {
    const why = `its id "${id}" was not counted with anything else: it can be taken under that`;
    return refusal("id_is_free", why);
  }
  if (known === null) return append();
  const position = { partition, offset: known.offset };
  if (!isConflict) return { kind: "counted", id, position };
  const first = formatPosition(position);
  if (!options.newId) {
    const counted = `id "${id}" was counted at ${first} with ${known.fingerprint}`;
    return refusal("id_conflict", `${counted}; this record has ${fingerprint}`);
  }
  const newId = `${refused.topic}:${first}:${fingerprint}`;
  return planReplay(withId(refused, newId), { ...options, newId: false });
}

/** Why the group would refuse the record now, ids aside; else its message and its id. */
export function take(
  refused: Refused,
  options: Pick<ReplayOptions, "group" | "partitions" | "nowMs">,
): Taken | ReplayRefusal {
  const { topic, offset, key, value } = refused;
  const input = options.group.inputs.find(({ stream }) => stream.topic === topic);
  if (input === undefined) {
    return refusal("unwritable", `${options.group.name} does not read ${topic} any more`);
  }
  if (controlOf(refused) !== null) {
    const why = "a control stands in every partition, at a place of its own: write it anew instead";
    return refusal("unwritable", why);
  }
  const partition = partitionOf(key, options.partitions);
  const headers = headersOf(refused, options.group);
  const timestampMs = options.nowMs;
  const record: LogRecord = {
    ...{ topic, partition, offset, key, value, headers, timestampMs, checksum: 0 },
  };
  const decoded = decodeRecord(record, input);
  if ("reason" in decoded) return refusal(decoded.reason, decoded.detail);
  const { info, message } = decoded;
  const problem = input.stream.validate(message, info);
  if (problem !== null) return refusal("invalid_record", problem);
  const bytes = sizeOf(record);
  if (bytes > MAX_RECORD_BYTES) {
    const why = `with the headers of a replay it has ${bytes} bytes, more than ${MAX_RECORD_BYTES}`;
    return refusal("unwritable", why);
  }
  return { input, message, key: info.key, id: info.id as string };
}

interface Taken {
  readonly input: Input<unknown>;
  readonly message: unknown;
  readonly key: string;
  readonly id: string;
}

function toAppend(
  refused: Refused,
  { group, partitions, key, id }: ReplayOptions & { readonly key: string; readonly id: string },
): Replay {
  const { topic, value } = refused;
  const place = { topic, partition: partitionOf(refused.key, partitions) };
  const headers = headersOf(refused, group);
  return { kind: "append", key, id, record: { ...place, key: refused.key, value, headers } };
}

/** The record's own, with one id, and for this group alone. */
function headersOf(refused: Refused, group: Group): Headers {
  const own = refused.headers.find(([name]) => name === ID_HEADER)?.[1];
  const id = own ?? Buffer.from(`${refused.topic}:${formatPosition(refused)}`);
  const rest = refused.headers.filter(
    ([name]) => name !== ID_HEADER && name !== FOR_GROUP_HEADER,
  );
  return [...rest, [ID_HEADER, id], [FOR_GROUP_HEADER, Buffer.from(group.name)]];
}

function refusal(problem: ReplayRefusal["problem"], why: string): ReplayRefusal {
  return { kind: "refused", problem, why };
}

function withId(refused: Refused, id: string): Refused {
  const rest = refused.headers.filter(([name]) => name !== ID_HEADER);
  return { ...refused, headers: [...rest, [ID_HEADER, Buffer.from(id)]] };
}

function sizeOf({ key, value, headers }: LogRecord): number {
  let bytes = key.length + (value?.length ?? 0);
  for (const [name, each] of headers) bytes += name.length + each.length;
  return bytes;
}
