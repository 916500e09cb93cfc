/**
 * Versions of the rule `deposits-over-limit`: its window and limit, and since when they hold.
 *
 *   `rules set` ──> control record in every partition of `deposit` ──> row, which the rule is from
 *
 * A version is in force for the deposits that stand behind its record in their partition. Its
 * number makes it one: of two records with one number the first counts, and the other changes
 * nothing, so that a record that is written again does no harm. Version 1 has no record.
 */

import { create } from "@bufbuild/protobuf";
import { textProblem } from "../deposits/deposit.ts";
import { actorProblem, MAX_REASON_BYTES } from "../flagger/flag-wallet.ts";
import { type RuleVersion, RuleVersionSchema } from "../gen/depositaja/v1/rule_pb.ts";
import { MAX_AMOUNT_MINOR } from "../money.ts";
import { type Codec, protobufCodec } from "../stream/codec.ts";
import {
  type Context,
  type Control,
  control,
  type RowKind,
  type RowReader,
} from "../stream/group.ts";
import {
  newPacker,
  packed,
  putBigint,
  putCount,
  putText,
  takeBigint,
  takeCount,
  takeEnd,
  takeText,
  unpack,
} from "../stream/packing.ts";
import type { Rule } from "./late-window.ts";
import { FIRST_WINDOW_MS } from "./window-rows.ts";

export const RULE_ID = "deposits-over-limit";

/** Of version 1, in whole units of money; to exceed is to have more. */
const FIRST_LIMIT = 10_000n;

/** Below it the clocks of several servers would decide, which agree no better. */
export const MIN_WINDOW_MS = 1_000;

/**
 * A late deposit reads the heads of the blocks in two windows around it. With a deposit a second
 * those of a day are some 2,700, and take some milliseconds; a longer window would take longer
 * than the 10 ms that the engine reckons with for one record.
 */
export const MAX_WINDOW_MS = 24 * 60 * 60 * 1_000;

/** As a control record says it, and who said so. */
export interface NewRuleVersion {
  /** From 2. */
  readonly number: number;
  readonly windowMs: number;
  readonly limitMinor: bigint;
  readonly actor: string;
  readonly reason: string;
  /** Unix milliseconds of the operator's clock. */
  readonly atMs: number;
}

/** As it stands in a partition's rows. */
export interface RuleVersionRow extends NewRuleVersion {
  /** Of its record, in the partition. */
  readonly offset: bigint;
}

/** The rule before any other was set. */
export function firstRule(decimals: number): Rule {
  const limitMinor = FIRST_LIMIT * 10n ** BigInt(decimals);
  return { version: 1, windowMs: FIRST_WINDOW_MS, limitMinor };
}

/** Null while it is version 1. */
export function newestVersion(rows: RowReader): RuleVersionRow | null {
  return rows.range(ruleVersionRow, { isReverse: true, limit: 1 })[0]?.value ?? null;
}

/** Those after version 1, in order. */
export function allVersions(rows: RowReader): RuleVersionRow[] {
  return rows.range(ruleVersionRow).map(({ value }) => value);
}

export function isSameVersion(a: NewRuleVersion, b: NewRuleVersion): boolean {
  return (
    a.number === b.number &&
    a.windowMs === b.windowMs &&
    a.limitMinor === b.limitMinor &&
    a.actor === b.actor &&
    a.reason === b.reason &&
    a.atMs === b.atMs
  );
}

/** Null when the rule can be such a one; otherwise why not. */
export function ruleProblem({ windowMs, limitMinor }: Omit<Rule, "version">): string | null {
  if (!Number.isInteger(windowMs) || windowMs < MIN_WINDOW_MS || windowMs > MAX_WINDOW_MS) {
    return `a window of ${windowMs} ms: it must be from 1 s to 24 h`;
  }
  if (limitMinor <= 0n) return "a limit must be more than 0";
  if (limitMinor > MAX_AMOUNT_MINOR) {
    return "a limit is more than 64 bits can hold: name a lower one";
  }
  return null;
}

/** Null when the text can say why a rule was set; otherwise why not. */
export function ruleReasonProblem(text: string): string | null {
  if (text === "") return "reason must not be empty";
  return textProblem("reason", text, MAX_REASON_BYTES);
}

/** What the detector does with a version's record. */
export const ruleControl: Control<RuleVersion> = {
  name: "rule",
  codec: protobufCodec(RuleVersionSchema),
  apply: setVersion,
};

export const ruleControlOfInput = control(ruleControl);

export function versionMessage(version: NewRuleVersion): RuleVersion {
  return create(RuleVersionSchema, {
    ruleId: RULE_ID,
    number: version.number,
    windowMs: BigInt(version.windowMs),
    limitMinor: version.limitMinor,
    actor: version.actor,
    reason: version.reason,
    atMs: BigInt(version.atMs),
  });
}

export function versionOf(message: RuleVersion): NewRuleVersion {
  const { number, limitMinor, actor, reason } = message;
  const windowMs = Number(message.windowMs);
  return { number, windowMs, limitMinor, actor, reason, atMs: Number(message.atMs) };
}

/** Null when a record may say so; otherwise why not. */
export function versionProblem(message: RuleVersion): string | null {
  const { ruleId, number, atMs, actor, reason } = message;
  if (ruleId !== RULE_ID) return `the rule "${ruleId}" is not known`;
  if (number < 2) return `version ${number}: those that are set are 2 and more`;
  if (atMs < 0n || atMs > MAX_TIME_MS) return `at_ms ${atMs} is not a time in Unix milliseconds`;
  return ruleProblem(versionOf(message)) ?? actorProblem(actor) ?? ruleReasonProblem(reason);
}

function setVersion(context: Context, message: RuleVersion): string | null {
  const problem = versionProblem(message);
  if (problem !== null) return problem;
  const version = versionOf(message);
  const newest = newestVersion(context)?.number ?? 1;
  if (version.number <= newest) return null;
  if (version.number > newest + 1) {
    return `version ${version.number} without version ${newest + 1} before it`;
  }
  const { offset } = context.record;
  context.set(ruleVersionRow, { ...version, offset }, versionSubKey(version.number));
  return null;
}

/** Far from any time there will be. */
const MAX_TIME_MS = 2n ** 51n;

const FORMAT = 1;
const scratch = newPacker(2_048);

const versionCodec: Codec<RuleVersionRow> = {
  name: "rule version row",
  encode(row) {
    scratch.length = 0;
    putCount(scratch, FORMAT);
    putCount(scratch, row.number);
    putCount(scratch, row.windowMs);
    putBigint(scratch, row.limitMinor);
    putText(scratch, row.actor);
    putText(scratch, row.reason);
    putCount(scratch, row.atMs);
    putBigint(scratch, row.offset);
    return packed(scratch);
  },
  decode(bytes) {
    const from = unpack(bytes);
    const format = takeCount(from);
    if (format !== FORMAT) throw new Error(`a rule's version of format ${format}; known is 1`);
    const row: RuleVersionRow = {
      number: takeCount(from),
      windowMs: takeCount(from),
      limitMinor: takeBigint(from),
      actor: takeText(from),
      reason: takeText(from),
      atMs: takeCount(from),
      offset: takeBigint(from),
    };
    takeEnd(from);
    return row;
  },
};

/** Of the partition itself. Sub-key: the version's number, 4 bytes, big-endian. */
export const ruleVersionRow: RowKind<RuleVersionRow> = {
  name: "rule version",
  tag: 4,
  codec: versionCodec,
};

function versionSubKey(number: number): Uint8Array {
  return Uint8Array.of(number >>> 24, number >>> 16, number >>> 8, number);
}
