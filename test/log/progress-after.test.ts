/** What a commit makes of a progress: each input and output as last written, all else kept. */

import { expect, test } from "bun:test";
import type { NewRecord, Progress } from "../../src/log/event-log.ts";
import { progressAfter } from "../../src/log/progress-after.ts";

const output = (topic: string, partition = 0): NewRecord => ({
  topic,
  partition,
  key: new Uint8Array(),
  value: null,
});
const input = (topic: string, nextOffset: bigint) => ({ topic, nextOffset, checksum: 1 });
const before: Progress = {
  inputs: [input("a", 3n), input("c", 5n)],
  outputs: [{ topic: "out", partition: 0, lastOffset: 7n }],
  changelogOffset: 9n,
};

test("the first commit gives what it names, inputs in the order of their names", () => {
  const commit = { inputs: [input("c", 2n), input("a", 1n)], outputs: [] };
  expect(progressAfter(null, commit, { offsets: [], lastRow: null })).toEqual({
    inputs: [input("a", 1n), input("c", 2n)],
    outputs: [],
    changelogOffset: null,
  });
});

test("an input that did not move, an output and rows that were not written stay", () => {
  const commit = { inputs: [input("c", 6n)], outputs: [] };
  expect(progressAfter(before, commit, { offsets: [], lastRow: null })).toEqual({
    ...before,
    inputs: [input("a", 3n), input("c", 6n)],
  });
});

test("the last of several outputs to a place counts, by topic and partition", () => {
  const outputs = [output("out"), output("out", 1), output("out"), output("other")];
  const commit = { inputs: [input("a", 4n)], outputs };
  const written = { offsets: [8n, 0n, 10n, 2n], lastRow: 11n };
  expect(progressAfter(before, commit, written)).toEqual({
    inputs: [input("a", 4n), input("c", 5n)],
    outputs: [
      { topic: "out", partition: 0, lastOffset: 10n },
      { topic: "out", partition: 1, lastOffset: 0n },
      { topic: "other", partition: 0, lastOffset: 2n },
    ],
    changelogOffset: 11n,
  });
});

test("counts are added up from the first commit on, and never begin half-way", () => {
  const commit = { inputs: [input("a", 4n)], outputs: [], counts: { odd: 2, even: 0 } };
  const written = { offsets: [], lastRow: null };
  const first = progressAfter(null, commit, written);
  expect(first.counts).toEqual({ odd: 2, even: 0 });
  const second = progressAfter(first, { ...commit, counts: { odd: 1, new: 3 } }, written);
  expect(second.counts).toEqual({ odd: 3, even: 0, new: 3 });
  const { counts: _, ...silent } = commit;
  expect(progressAfter(second, silent, written).counts).toEqual(second.counts);
  expect("counts" in progressAfter(before, commit, written)).toBe(false);
});
