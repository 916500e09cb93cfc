/**
 * The rule as it changes along a partition: its versions, read from the control records of
 * `deposit` by the published words alone.
 *
 *   control records in log order ──shape, number──> versions ──at an offset──> window and limit
 *                                                      └──> rows that the detector must have
 */

import { RuleVersionSchema } from "../../gen/depositaja/v1/rule_pb.ts";
import type { LogRecord } from "../../log/event-log.ts";
import { protobufCodec } from "../../stream/codec.ts";
import type { DeadLetterReason } from "../../stream/dead-letter.ts";
import { newPacker, packed, putBigint, putCount, putText } from "../../stream/packing.ts";
import { toLatin1 } from "../../stream/row-key.ts";
import {
  MAX_ACTOR_BYTES,
  MAX_REASON_BYTES,
  MAX_TIME_MS,
  MAX_WINDOW_MS,
  MIN_WINDOW_MS,
  RULE_ID,
  WINDOW_MS,
} from "./published-rule.ts";
import { isText } from "./record-verdict.ts";
import { RULE_VERSION_FORMAT, type RuleVersionValue } from "./row-formats.ts";
import type { ExpectedRow } from "./rows.ts";

/** As events name it. */
export interface Rule {
  readonly version: number;
  readonly windowMs: number;
  readonly limitMinor: bigint;
}

const codec = protobufCodec(RuleVersionSchema);
const decoder = new TextDecoder();

/** The control that a record without a key is; null for any other record. */
export function controlName({ key, headers }: Pick<LogRecord, "key" | "headers">): string | null {
  if (key.length > 0) return null;
  const header = headers.find(([name]) => name === "control");
  return header === undefined ? null : decoder.decode(header[1]);
}

/** Of one partition. */
export class RuleVersions {
  /** Those after version 1, in order. */
  readonly list: RuleVersionValue[] = [];
  private readonly first: Rule;

  constructor(limitMinor: bigint) {
    this.first = { version: 1, windowMs: WINDOW_MS, limitMinor };
  }

  /** Why the detector has to refuse the record; null when it has to take it, or to pass it by. */
  problem(record: LogRecord): DeadLetterReason | null {
    const version = versionOf(record);
    if (version === null) return "undecodable";
    return isGood(version) && version.number <= this.newest + 1 ? null : "invalid_record";
  }

  /** One without a problem, in log order: the first of a number counts. */
  take(record: LogRecord): void {
    const version = versionOf(record);
    if (version === null || version.number <= this.newest) return;
    const { ruleId: _, ...value } = version;
    this.list.push(value);
  }

  /** For a deposit that stands there. */
  at(offset: bigint): Rule {
    const { list } = this;
    for (let i = list.length - 1; i >= 0; i -= 1) {
      const { number: version, windowMs, limitMinor, offset: since } = list[i] as RuleVersionValue;
      if (since < offset) return { version, windowMs, limitMinor };
    }
    return this.first;
  }

  /** No version has a lower one. */
  get lowestLimitMinor(): bigint {
    const lower = (lowest: bigint, { limitMinor }: { limitMinor: bigint }) =>
      limitMinor < lowest ? limitMinor : lowest;
    return this.list.reduce(lower, this.first.limitMinor);
  }

  /** Of the detector's table, folded up to there. */
  rows(folded: number): ExpectedRow[] {
    return this.list
      .filter(({ offset }) => offset < folded)
      .map((value) => ({
        format: RULE_VERSION_FORMAT,
        subKey: toLatin1(numberBytes(value.number)),
        value,
        offset: Number(value.offset),
        bytes: rowBytes(value),
      }));
  }

  private get newest(): number {
    return this.list.at(-1)?.number ?? 1;
  }
}

/** Null when both say the same of each number that both have; else the first that differs. */
export function firstDisagreement(
  a: readonly RuleVersionValue[],
  b: readonly RuleVersionValue[],
): readonly [RuleVersionValue, RuleVersionValue] | null {
  for (const [index, one] of a.entries()) {
    const other = b[index];
    if (other === undefined) return null;
    if (!Bun.deepEquals({ ...one, offset: 0n }, { ...other, offset: 0n })) return [one, other];
  }
  return null;
}

type Said = RuleVersionValue & { readonly ruleId: string };

/** Null where it cannot be read. */
function versionOf(record: LogRecord): Said | null {
  if (controlName(record) !== "rule" || record.value === null) return null;
  try {
    const { ruleId, number, limitMinor, actor, reason, ...times } = codec.decode(record.value);
    const [windowMs, atMs] = [Number(times.windowMs), Number(times.atMs)];
    const { offset } = record;
    return { ruleId, number, windowMs, limitMinor, actor, reason, atMs, offset };
  } catch {
    return null;
  }
}

function isGood({ ruleId, number, windowMs, limitMinor, actor, reason, atMs }: Said): boolean {
  return (
    ruleId === RULE_ID &&
    number >= 2 &&
    windowMs >= MIN_WINDOW_MS &&
    windowMs <= MAX_WINDOW_MS &&
    limitMinor > 0n &&
    isText(actor, 1, MAX_ACTOR_BYTES) &&
    isText(reason, 1, MAX_REASON_BYTES) &&
    atMs >= 0 &&
    atMs <= Number(MAX_TIME_MS)
  );
}

const FORMAT = 1;
const scratch = newPacker(2_048);

function rowBytes(value: RuleVersionValue): Uint8Array {
  scratch.length = 0;
  for (const count of [FORMAT, value.number, value.windowMs]) putCount(scratch, count);
  putBigint(scratch, value.limitMinor);
  putText(scratch, value.actor);
  putText(scratch, value.reason);
  putCount(scratch, value.atMs);
  putBigint(scratch, value.offset);
  return packed(scratch);
}

function numberBytes(number: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(number);
  return bytes;
}
