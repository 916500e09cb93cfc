import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { EventLog, LogRecord } from "../../../src/log/event-log.ts";
import type { Difference } from "../../../src/proof/verify/findings.ts";
import type { Tester } from "../../../src/stream/tester.ts";
import { BASE_MS, type Hand, played, verified } from "./histories.ts";

/** A deposit, and behind it one that every group that reads it has to refuse. */

const WALLET = "ana";
const LETTERS = "balance-dead-letters";
const FAR_MS = 60_000;

let tester: Tester;
let partition: number;

beforeAll(async () => {
  const deposit = { amountMinor: 5n, timeMs: BASE_MS, id: null };
  tester = await played([
    { what: "deposit", wallet: WALLET, ...deposit },
    { what: "foreign", wallet: WALLET, how: "garbage" },
  ]);
  const ends = await Promise.all([0, 1].map((each) => tester.log.bounds("deposit", each)));
  partition = ends.findIndex(({ end }) => end === 2n);
});
afterAll(() => tester.close());

type Parts = ReturnType<NonNullable<Hand["log"]>>;

async function found(change: (log: EventLog) => Partial<Parts>, hand: Hand = {}) {
  const log = (whole: EventLog): Parts => ({
    read: (options) => whole.read(options),
    bounds: (topic, each) => whole.bounds(topic, each),
    progress: (group, each) => whole.progress(group, each),
    ...change(whole),
  });
  const { differences } = await verified(tester, { log, ...hand });
  return differences.map(({ kind, where, position, found: what }: Difference) => ({
    ...{ kind, where, position, found: what },
  }));
}

/** Each record of a topic as it comes out of the hand; none: it is not there. */
const reading =
  (topic: string, change: (record: LogRecord) => readonly LogRecord[]) =>
  (log: EventLog): Partial<Parts> => ({
    async *read(options) {
      for await (const records of log.read(options)) {
        const handed = options.topic === topic ? records.flatMap(change) : records;
        if (handed.length > 0) yield handed;
      }
    },
  });

describe("a verification", () => {
  test("finds nothing where each refused record has its letters", async () => {
    expect(await found(() => ({}))).toEqual([]);
  });

  test("finds a dead letter that is lost, and one that is doubled", async () => {
    expect(await found(reading(LETTERS, () => []))).toEqual([
      {
        ...{ kind: "dead_letter", where: LETTERS },
        ...{ position: `deposit:${partition}-1`, found: "no dead letter" },
      },
    ]);
    const doubled = await found(reading(LETTERS, (letter) => [letter, letter]));
    expect(doubled).toMatchObject([{ kind: "dead_letter", where: LETTERS }]);
    expect(doubled[0]?.found).toContain("a second letter");
  });

  test("finds a dead letter of a record that is not there", async () => {
    const lost = await found(
      reading("deposit", (record) => (record.offset === 1n ? [] : [record])),
    );
    const letters = lost.filter(({ kind }) => kind === "dead_letter");
    expect(letters.map(({ where }) => where)).toContain(LETTERS);
    expect(letters[0]?.found).toContain("there is no such record");
  });

  test("finds another record in the place of the last that was done", async () => {
    const other = await found(
      reading("deposit", (record) => [{ ...record, checksum: record.checksum ^ 1 }]),
    );
    const places = other.filter(({ kind }) => kind === "progress");
    expect(places).not.toEqual([]);
    expect(places[0]).toMatchObject({ where: "deposit", position: `deposit:${partition}-1` });
  });

  test("finds a stream that ends before what was done", async () => {
    let nowMs = 0;
    const bounds = (log: EventLog): Partial<Parts> => ({
      bounds: async (topic, each) => {
        const { start, end } = await log.bounds(topic, each);
        return { start, end: topic === "deposit" && each === partition ? 1n : end };
      },
    });
    const cut = await found(bounds, { monotonicMs: () => (nowMs += FAR_MS) });
    const ends = cut.filter(({ kind }) => kind === "progress");
    expect(ends).not.toEqual([]);
    expect(ends[0]).toMatchObject({ where: "deposit", found: "an end at 1" });
  });

  test("asks what a group has committed once it has its table", async () => {
    const opened = new Set<string>();
    const progress = (log: EventLog): Partial<Parts> => ({
      progress: async (group, each) =>
        opened.has(`${group}-table ${each}`) ? log.progress(group, each) : null,
    });
    const table: Hand["table"] = (name, each, state) => {
      opened.add(`${name} ${each}`);
      return state;
    };
    expect(await found(progress, { table })).toEqual([]);
  });

  test("finds a table that is ahead of what its group has committed", async () => {
    const progress = (log: EventLog): Partial<Parts> => ({
      progress: async (group, each) => (group === "balance" ? null : log.progress(group, each)),
    });
    const ahead = await found(progress);
    const tables = ahead.filter(({ kind }) => kind === "table");
    expect(tables).toMatchObject([{ where: "balance-table", found: "up to 2" }]);
  });
});
