/**
 * Dead letters as an operator deals with them: read them with what was done about them, have one
 * taken again, or say that it needs no more attention.
 *
 *   `<group>-dead-letters` ──> list, find ──> plan ──> replay ──> stream, mark ──settled──> verdict
 *                                                └──> mark
 *
 * A letter is named by the record that was refused, `<topic>:<partition>-<offset>`. A group that
 * declares no fingerprint counts no ids: for it a mark alone stops a second replay, and a crash
 * between record and mark is not told apart.
 */

import type { EventLog } from "../log/event-log.ts";
import { type Mark, markProblem, toMark } from "./dead-letter-mark.ts";
import {
  planReplay,
  type Replay,
  type ReplayOptions,
  type ReplayPlan,
  take,
} from "./dead-letter-replay.ts";
import { type Letter, lettersIn, lettersNamed } from "./dead-letter-topic.ts";
import type { Group } from "./group.ts";
import { partitionOf } from "./partitioner.ts";
import { formatPosition, parsePosition, type Position } from "./position.ts";
import type { StreamPosition } from "./settling.ts";
import type { Topology } from "./topology.ts";
import type { View } from "./view.ts";

/** A letter whose record is at hand. */
export type FullLetter = Letter & { readonly record: NonNullable<Letter["record"]> };

export interface LetterReading {
  /** The codec's name; null when the group does not read the topic any more. */
  readonly type: string | null;
  /** As the codec has it; undefined when it cannot read the record. */
  readonly message: unknown;
  /** Why the group would refuse it now, ids aside; null when it would not. */
  readonly problem: string | null;
}

export interface Replayed {
  readonly replay: Replay;
  readonly at: StreamPosition;
}

/** How a replayed letter ended. */
export type ReplayVerdict =
  | { readonly kind: "taken" }
  /** A record with its id was counted before it. */
  | { readonly kind: "repeat"; readonly position: Position }
  | { readonly kind: "refused_again"; readonly letter: Letter };

export type Operator = Pick<Mark, "actor" | "reason">;

export interface DeadLetters {
  /** All of a group, by partition and in the order in which they were refused. */
  list(group: string): AsyncGenerator<Letter>;
  /** Null for no such name. The topic may be left out where the group reads only one. */
  place(group: string, name: string): StreamPosition | null;
  /** In the order of the places; null where nothing was refused. */
  find(group: string, places: readonly StreamPosition[]): Promise<(Letter | null)[]>;
  /** The partition where the record belongs by its key. */
  home(letter: FullLetter): number;
  read(letter: FullLetter): LetterReading;
  /** Writes nothing. The group's view must stand beyond what is to be known. */
  plan(letter: FullLetter, options: Pick<ReplayOptions, "newId">): ReplayPlan;
  /** Writes the record, then the mark. Rejects as `EventLog.append` does. */
  replay(letter: Letter, replay: Replay, operator: Operator): Promise<StreamPosition>;
  /** Of letters that were replayed and are settled, in their order. */
  verdicts(group: string, replayed: readonly Replayed[]): Promise<ReplayVerdict[]>;
  /** `as`: where it was counted already; null to drop it. Rejects as `EventLog.append` does. */
  mark(letter: Letter, operator: Operator, as: Position | null): Promise<Mark>;
  /** Null when they can stand in a mark; otherwise why not. */
  operatorProblem(operator: Operator): string | null;
}

export interface DeadLettersOptions {
  readonly log: Pick<EventLog, "append" | "read" | "bounds" | "progress">;
  readonly topology: Topology;
  readonly partitions: number;
  /** By the group's name. */
  readonly views: Readonly<Record<string, Pick<View, "id">>>;
  /** Unix milliseconds. */
  readonly nowMs: () => number;
}

export function createDeadLetters(options: DeadLettersOptions): DeadLetters {
  const { log, partitions, nowMs } = options;
  const groupOf = (name: string) => groupNamed(options.topology, name);
  const viewOf = (name: string) => options.views[name] as Pick<View, "id">;
  const mark = async (letter: Letter, operator: Operator, as: Position | null) => {
    const how = as === null ? "dropped" : "replayed";
    const made: Mark = { how, ...operator, atMs: nowMs(), as };
    await log.append([toMark(groupOf(letter.group), letter, made)]);
    return made;
  };
  return {
    async *list(group) {
      for (let partition = 0; partition < partitions; partition += 1) {
        yield* lettersIn(log, groupOf(group), partition);
      }
    },
    place: (group, name) => placeNamed(groupOf(group), name, partitions),
    find: (group, places) => lettersNamed(log, groupOf(group), places),
    home: ({ record }) => partitionOf(record.key, partitions),
    read: (letter) => readingOf(letter, groupOf(letter.group), { partitions, nowMs: nowMs() }),
    plan: (letter, { newId }) => {
      const group = groupOf(letter.group);
      const idRow: ReplayOptions["idRow"] = (key, id) => viewOf(letter.group).id(key, id);
      const at = { group, partitions, nowMs: nowMs(), idRow, newId };
      const plan = planReplay(refusedOf(letter), at);
      return plan.kind === "append" ? (secondReplay(letter, group) ?? plan) : plan;
    },
    replay: async (letter, { record }, operator) => {
      const { topic, partition } = record;
      const [offset] = await log.append([record]);
      const at = { topic, partition, offset: offset as bigint };
      // A crash in between leaves the letter open: replayed again it is a repeat.
      await mark(letter, operator, at);
      return at;
    },
    verdicts: async (group, replayed) => {
      const places = replayed.map(({ at }) => at);
      const again = await lettersNamed(log, groupOf(group), places, { isCommitted: true });
      return replayed.map(({ replay: { id, key }, at }, i) => {
        const letter = again[i] ?? null;
        if (letter !== null) return { kind: "refused_again", letter };
        const known = viewOf(group).id(key, { topic: at.topic, id });
        if (known === null || known.offset === at.offset) return { kind: "taken" };
        return { kind: "repeat", position: { partition: at.partition, offset: known.offset } };
      });
    },
    mark,
    operatorProblem: markProblem,
  };
}

/** Where ids are not counted, nothing else tells a second replay from the first. */
function secondReplay(letter: Letter, group: Group): ReplayPlan | null {
  const input = group.inputs.find(({ stream }) => stream.topic === letter.topic);
  const before = letter.marks.findLast(({ how }) => how === "replayed")?.as;
  if (input?.fingerprint !== undefined || before == null) return null;
  const why = `it was replayed as ${formatPosition(before)}, and ${group.name} counts no ids`;
  return { kind: "refused", problem: "unwritable", why };
}

function readingOf(
  letter: FullLetter,
  group: Group,
  at: { readonly partitions: number; readonly nowMs: number },
): LetterReading {
  const input = group.inputs.find(({ stream }) => stream.topic === letter.topic);
  const type = input?.stream.codec.name ?? null;
  const taken = take(refusedOf(letter), { group, ...at });
  if (!("problem" in taken)) return { type, message: taken.message, problem: null };
  const problem = `${taken.problem}: ${taken.why}`;
  const { value } = letter.record;
  if (value === null) return { type, message: undefined, problem };
  try {
    // The key or the id may be what cannot be read.
    return { type, message: input?.stream.codec.decode(value), problem };
  } catch {
    return { type, message: undefined, problem };
  }
}

function refusedOf({ topic, partition, offset, record }: FullLetter) {
  return { topic, partition, offset, ...record };
}

function placeNamed(group: Group, name: string, partitions: number): StreamPosition | null {
  const [, topic, text = ""] = /^(?:(.+):)?(\d+-\d+)$/.exec(name) ?? [];
  const position = parsePosition(text);
  if (position === null || position.partition >= partitions) return null;
  const only = group.inputs.length === 1 ? group.inputs[0]?.stream.topic : undefined;
  const found = topic ?? only;
  return found === undefined ? null : { topic: found, ...position };
}

function groupNamed({ groups }: Topology, name: string): Group {
  const group = groups.find((each) => each.name === name);
  if (group === undefined) throw new RangeError(`there is no group ${name}`);
  return group;
}
