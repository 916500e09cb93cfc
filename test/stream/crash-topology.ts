/**
 * What the crash simulation runs: two groups, the first with two inputs whose order matters, ids,
 * and outputs that go to other keys' partitions; and the plain fold that must give the same.
 *
 *   left, right ──> mix (unique ids on left) ──mixed, other keys──> tail
 */

import { jsonCodec } from "../../src/stream/codec.ts";
import {
  type Context,
  defineGroup,
  input,
  type RowKind,
  type Stream,
} from "../../src/stream/group.ts";

export interface Mixed {
  readonly from: string;
  readonly hash: number;
}

export const left: Stream<number> = { topic: "left", codec: jsonCodec(), validate: () => null };
export const right: Stream<number> = {
  topic: "right",
  codec: jsonCodec(),
  validate: (n) => (n < 0 ? "below zero" : null),
};
export const mixed: Stream<Mixed> = { topic: "mixed", codec: jsonCodec(), validate: () => null };

export const hashes: RowKind<number> = { name: "hash", tag: 1, codec: jsonCodec() };
/** The newest hashes of a key, by their count: rows that come, change and go. */
export const newest: RowKind<number> = { name: "newest", tag: 2, codec: jsonCodec() };
export const seen: RowKind<string> = { name: "seen", tag: 1, codec: jsonCodec() };

const NEWEST = 3;

const next = (hash: number, n: number) => (hash * 31 + n) % 1_000_003;
const keyOf = (hash: number) => `to ${hash % 7}`;

const mixIn = (salt: number) => (context: Context, n: number) => {
  const hash = next(context.get(hashes) ?? 0, n + salt);
  context.set(hashes, hash);
  const [first] = context.range(newest, { isReverse: true, limit: 1 });
  const count = first === undefined ? 0 : (first.subKey[0] as number) + 1;
  context.set(newest, hash, Uint8Array.of(count));
  if (count >= NEWEST) context.delete(newest, Uint8Array.of(count - NEWEST));
  context.emit(mixed, keyOf(hash), { from: context.record.key, hash });
};

export const mix = defineGroup({
  name: "mix",
  inputs: [input(left, mixIn(1), { fingerprint: String }), input(right, mixIn(2))],
  outputs: [mixed],
  rows: [hashes, newest],
});

export const tail = defineGroup({
  name: "tail",
  inputs: [
    input(mixed, (context, { hash }) => context.set(seen, `${context.get(seen) ?? ""} ${hash}`)),
  ],
  rows: [seen],
});

export interface Send {
  readonly stream: Stream<number>;
  readonly key: string;
  readonly n: number;
  readonly id: string | null;
}

export interface Outcome {
  readonly hashes: Record<string, number>;
  readonly newest: Record<string, number[]>;
  /** By the key that caused them and the key that they went to, in order. */
  readonly mixed: Record<string, number[]>;
  readonly deadLetters: number;
}

/** What the first group must have made of these, each key's in order. */
export function foldSends(sends: readonly Send[]): Outcome {
  const outcome = { hashes: {}, newest: {}, mixed: {} } as Omit<Outcome, "deadLetters">;
  const ids = new Map<string, number>();
  let deadLetters = 0;
  for (const { stream, key, n, id } of sends) {
    if (stream === right && n < 0) {
      deadLetters += 1;
      continue;
    }
    if (stream === left && id !== null) {
      const first = ids.get(`${key}/${id}`);
      if (first !== undefined) deadLetters += first === n ? 0 : 1;
      if (first !== undefined) continue;
      ids.set(`${key}/${id}`, n);
    }
    const hash = next(outcome.hashes[key] ?? 0, n + (stream === left ? 1 : 2));
    outcome.hashes[key] = hash;
    outcome.newest[key] = [...(outcome.newest[key] ?? []), hash].slice(-NEWEST);
    (outcome.mixed[`${key} ${keyOf(hash)}`] ??= []).push(hash);
  }
  return { ...outcome, deadLetters };
}
