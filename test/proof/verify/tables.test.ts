import { expect, test } from "bun:test";
import type { LogRecord } from "../../../src/log/event-log.ts";
import { Findings } from "../../../src/proof/verify/findings.ts";
import { changelogTable } from "../../../src/proof/verify/tables.ts";

const CHANGES = [
  ["b", "1"],
  ["a", "1"],
  ["c", "1"],
  ["b", "2"],
  ["c", null], // deleted
  ["d", null], // deleted, whose row was compacted away
  ["a", "2"], // behind the progress
] as const;

test("a table from its changelog has the newest row of a key, and none that is gone", async () => {
  const records = CHANGES.map(([key, value], index) => ({
    key: Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    offset: BigInt(index),
  })) as unknown as LogRecord[];
  async function* read({ from, until }: { from: bigint; until?: bigint }) {
    yield records.slice(Number(from), Number(until));
  }
  const { signal } = new AbortController();
  const reading = { log: { read }, findings: new Findings(1), signal };
  const place = { topic: "t-table", partition: 0, start: 0n };
  const progress = { inputs: [], outputs: [], changelogOffset: 5n };
  const table = await changelogTable(reading, place, progress);
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
  const rows = [...table.rows()].map(({ key, value }) => [text(key), text(value)]);
  table.close();
  expect(rows).toEqual([
    ["a", "1"],
    ["b", "2"],
  ]);
});
