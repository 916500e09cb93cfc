import { beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Progress } from "../../src/log/event-log.ts";
import { jsonCodec } from "../../src/stream/codec.ts";
import type { RangeOptions, RowKind } from "../../src/stream/group.ts";
import { keyPrefix, rowKey } from "../../src/stream/row-key.ts";
import type { Store } from "../../src/stream/store.ts";
import { Stores } from "../../src/stream/stores.ts";
import { TaskRows } from "../../src/stream/task-rows.ts";

const notes: RowKind<string> = { name: "note", tag: 1, codec: jsonCodec() };
const marks: RowKind<string> = { name: "mark", tag: 254, codec: jsonCodec() };

const prefixOf = (key: string) => keyPrefix(Buffer.from(key));
const sub = (...bytes: number[]) => Uint8Array.from(bytes);
const place: Progress = { inputs: [], outputs: [], changelogOffset: null };

let store: Store;
let isFirstFlush: boolean;
beforeEach(() => {
  store = new Stores(":memory:", "log-1").open("a-table", 0);
  isFirstFlush = true;
});

function flush(rows: TaskRows): void {
  const before = isFirstFlush ? null : place;
  const change = { epoch: 1, before, after: place, inStepMs: null };
  rows.flush((encoded) => store.apply({ ...change, rows: encoded }));
  isFirstFlush = false;
}

const K = prefixOf("k");
const found = (rows: TaskRows, options?: RangeOptions) =>
  rows.range(K, notes, options).map(({ subKey, value }) => `${[...subKey].join(".")}=${value}`);

describe("a range", () => {
  test("has stored, replaced, deleted and new rows in one order", () => {
    const rows = new TaskRows(store);
    for (const n of [1, 2, 3, 4]) rows.set(K, notes, `old ${n}`, sub(n));
    rows.committed();
    flush(rows);
    rows.set(K, notes, "new 2", sub(2));
    rows.set(K, notes, null, sub(3));
    rows.set(K, notes, "new 5", sub(5));
    rows.set(K, notes, "new 0", sub(0));
    expect(found(rows)).toEqual(["0=new 0", "1=old 1", "2=new 2", "4=old 4", "5=new 5"]);
    expect(found(rows, { limit: 2, isReverse: true })).toEqual(["5=new 5", "4=old 4"]);
    expect(found(rows, { from: sub(2), to: sub(5), limit: 2 })).toEqual(["2=new 2", "4=old 4"]);
    expect(found(rows, { limit: 0 })).toEqual([]);
  });

  test("has the row without a sub-key before it is flushed as afterwards", () => {
    const rows = new TaskRows(store);
    rows.set(K, notes, "the one");
    rows.set(K, notes, "another", sub(7));
    const expected = ["=the one", "7=another"];
    expect(found(rows)).toEqual(expected);
    expect(found(rows, { from: sub(0) })).toEqual(["7=another"]);
    flush(rows);
    expect(found(rows)).toEqual(expected);
    rows.set(K, notes, null);
    expect(found(rows)).toEqual(["7=another"]);
    expect(found(rows, { limit: 1 })).toEqual(["7=another"]);
  });

  test("sees neither another key's rows nor another kind's", () => {
    const rows = new TaskRows(store);
    rows.set(prefixOf("k2"), notes, "other key", sub(1));
    rows.set(K, marks, "other kind", sub(1));
    rows.set(K, notes, "own", sub(1));
    expect(found(rows)).toEqual(["1=own"]);
    flush(rows);
    expect(found(rows)).toEqual(["1=own"]);
  });
});

describe("what is handed on", () => {
  test("is every row of the batch once, as it stands at its end", () => {
    const rows = new TaskRows(store);
    rows.set(K, notes, "a");
    rows.set(K, notes, "b");
    rows.set(K, notes, "gone", sub(1));
    rows.set(K, notes, null, sub(1));
    const changed = rows.encodeChanged();
    expect(changed.map(([key]) => key)).toEqual([rowKey(K, 1, undefined), rowKey(K, 1, sub(1))]);
    const values = changed.map(([, value]) => value && Buffer.from(value).toString());
    expect(values).toEqual(['"b"', null]);
    rows.committed();
    expect(rows.encodeChanged()).toEqual([]);
    expect(rows.unflushedRows).toBe(2);
    rows.set(K, notes, "c");
    expect(rows.encodeChanged()).toHaveLength(1);
  });

  test("stays to be flushed when the flush fails", () => {
    const rows = new TaskRows(store);
    rows.set(K, notes, "a", sub(1));
    const failing = () => {
      throw new Error("no space");
    };
    expect(() => rows.flush(failing)).toThrow("no space");
    expect([rows.unflushedRows, found(rows)]).toEqual([1, ["1=a"]]);
    flush(rows);
    expect([rows.unflushedRows, store.get(rowKey(K, 1, sub(1))) !== null]).toEqual([0, true]);
  });

  test("a reset leaves what the store has", () => {
    const rows = new TaskRows(store);
    rows.set(K, notes, "kept", sub(1));
    rows.committed();
    flush(rows);
    rows.set(K, notes, "dropped", sub(1));
    rows.set(K, notes, "dropped", sub(2));
    expect(rows.get(K, notes, sub(3))).toBeNull();
    rows.reset();
    expect([rows.get(K, notes, sub(1)), rows.get(K, notes, sub(2))]).toEqual(["kept", null]);
    expect([found(rows), rows.unflushedRows, rows.encodeChanged()]).toEqual([["1=kept"], 0, []]);
  });
});

describe("the cache", () => {
  /** Counts what the store is asked for. */
  function counting() {
    let gets = 0;
    const counted = Object.create(store) as Store;
    counted.get = (key) => {
      gets += 1;
      return store.get(key);
    };
    return { counted, gets: () => gets };
  }

  test("asks the store once for a row in use, and for one that is not there", () => {
    const { counted, gets } = counting();
    const rows = new TaskRows(counted);
    for (let i = 0; i < 5; i += 1) expect(rows.get(K, notes)).toBeNull();
    rows.set(K, notes, "a");
    flush(rows);
    expect([rows.get(K, notes), gets()]).toEqual(["a", 1]);
  });

  test("keeps a hot row and forgets cold ones, whatever is read", () => {
    const { counted, gets } = counting();
    const rows = new TaskRows(counted, { generationBytes: 10_000 });
    const large = "x".repeat(1_000);
    const key = (n: number) => prefixOf(`key ${n}`);
    for (let n = 0; n < 100; n += 1) rows.set(key(n), notes, large);
    flush(rows);
    // Rounds over far more than fits: hardly anything may be found in memory.
    for (let round = 0; round < 5; round += 1) {
      const before = gets();
      for (let n = 0; n < 100; n += 1) {
        rows.get(key(n), notes);
        rows.get(key(0), notes);
        flush(rows);
      }
      // The first round finds what the writing above has left.
      if (round > 0) expect(gets() - before).toBeGreaterThanOrEqual(98);
      expect(gets() - before).toBeLessThanOrEqual(100);
    }
  });

  test("forgets rows however often those that are kept move on", () => {
    const { counted, gets } = counting();
    const rows = new TaskRows(counted, { generationBytes: 10_000 });
    const key = (n: number) => prefixOf(`key ${n}`);
    for (let n = 0; n < 50; n += 1) rows.set(key(n), notes, "x".repeat(1_000));
    // Two steps on, one back: each row is read again while it is in the older generation.
    for (let n = 0; n < 400; n += 1) {
      rows.get(key(n % 50), notes);
      rows.get(key((n + 45) % 50), notes);
      flush(rows);
    }
    const before = gets();
    for (let n = 0; n < 50; n += 1) rows.get(key(n), notes);
    expect(gets() - before).toBeGreaterThanOrEqual(25);
  });
});

describe("against a plain map", () => {
  const keyName = fc.constantFrom("a", "aa", "b");
  const kind = fc.constantFrom(notes, marks);
  const subKey = fc.oneof(fc.constant(undefined), fc.uint8Array({ maxLength: 2, max: 3 }));
  const bound = fc.option(fc.uint8Array({ maxLength: 2, max: 3 }), { nil: undefined });
  interface Place {
    readonly key: string;
    readonly kind: RowKind<string>;
    readonly subKey?: Uint8Array | undefined;
  }
  interface RangeStep extends Place {
    readonly do: "range";
    readonly options: RangeOptions;
  }
  type Step =
    | (Place & { readonly do: "set"; readonly value: string | null })
    | (Place & { readonly do: "get" })
    | RangeStep
    | { readonly do: "commit" | "flush" | "fail" };

  const set = fc.record({
    do: fc.constant("set" as const),
    ...{ key: keyName, kind, subKey },
    value: fc.option(fc.string({ maxLength: 20 }), { freq: 3 }),
  });
  const get = fc.record({ do: fc.constant("get" as const), key: keyName, kind, subKey });
  const limit = fc.integer({ min: 0, max: 4 });
  const options = fc.record(
    { from: bound, to: bound, isReverse: fc.boolean(), limit },
    { requiredKeys: [] },
  ) as fc.Arbitrary<RangeOptions>;
  const range = fc.record({ do: fc.constant("range" as const), key: keyName, kind, options });
  const end = fc.record({ do: fc.constantFrom("commit", "flush", "fail") });
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 6, arbitrary: set },
    { weight: 3, arbitrary: get },
    { weight: 4, arbitrary: range },
    { weight: 1, arbitrary: end },
  );

  const hex = (bytes: Uint8Array = sub()) => Buffer.from(bytes).toString("hex");
  const modelKey = ({ key, kind: of, subKey: at }: Place) => `${key}/${of.tag}/${hex(at)}`;

  function expectedRange(model: Map<string, string>, of: RangeStep) {
    const { from, to, isReverse = false, limit: most } = of.options;
    const isIn = (key: string) =>
      (from === undefined || key >= hex(from)) && (to === undefined || key < hex(to));
    const prefix = `${of.key}/${of.kind.tag}/`;
    const rows = [...model]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, value]) => [key.slice(prefix.length), value] as const)
      .filter(([key]) => isIn(key))
      .sort(([a], [b]) => (a < b ? -1 : 1));
    return (isReverse ? rows.reverse() : rows).slice(0, most ?? rows.length);
  }

  test("reads what was set, over flushes, failures and a cache that forgets", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        store = new Stores(":memory:", "log-1").open("a-table", 0);
        isFirstFlush = true;
        const rows = new TaskRows(store, { generationBytes: 300 });
        let model = new Map<string, string>();
        let stored = new Map<string, string>();
        for (const each of steps) {
          if (each.do === "set") {
            rows.set(prefixOf(each.key), each.kind, each.value, each.subKey);
            if (each.value === null) model.delete(modelKey(each));
            else model.set(modelKey(each), each.value);
          } else if (each.do === "get") {
            const value = rows.get(prefixOf(each.key), each.kind, each.subKey);
            expect(value).toBe(model.get(modelKey(each)) ?? null);
          } else if (each.do === "range") {
            const read = rows.range(prefixOf(each.key), each.kind, each.options);
            const shown = read.map((row) => [hex(row.subKey), row.value] as const);
            expect(shown).toEqual(expectedRange(model, each));
          } else if (each.do === "fail") {
            rows.reset();
            model = new Map(stored);
          } else {
            rows.committed();
            if (each.do === "commit") continue;
            flush(rows);
            stored = new Map(model);
          }
        }
        flush(rows);
        const raw = store.range({ from: "", to: "\xff", isReverse: false, limit: -1 });
        const values = raw.map(({ value }) => notes.codec.decode(value));
        expect(values.sort()).toEqual([...model.values()].sort());
      }),
      { numRuns: 300 },
    );
  });
});
