import { afterEach, describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import type { Progress } from "../../src/log/event-log.ts";
import { jsonCodec } from "../../src/stream/codec.ts";
import { defineGroup, input, type RowKind } from "../../src/stream/group.ts";
import { keyPrefix, rowKey } from "../../src/stream/row-key.ts";
import type { Store } from "../../src/stream/store.ts";
import { Stores } from "../../src/stream/stores.ts";
import { View } from "../../src/stream/view.ts";
import { keyIn, numbers } from "./tally.ts";
import { removeFoldersAfterEach, temporaryFolder } from "./temporary-folder.ts";

removeFoldersAfterEach();

const notes: RowKind<string> = { name: "note", tag: 3, codec: jsonCodec() };
const marks: RowKind<string> = { name: "mark", tag: 4, codec: jsonCodec() };
const group = defineGroup({ name: "g", inputs: [input(numbers, () => {})], rows: [notes, marks] });
const key = keyIn(1);

/** A log that only tells of changes. */
class Changes {
  private readonly listeners = new Set<() => void>();
  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
  notify(): void {
    for (const listener of this.listeners) listener();
  }
  get count(): number {
    return this.listeners.size;
  }
}

let view: View;
afterEach(() => view.close());

function make(place: string) {
  const stores = new Stores(place === "in memory" ? ":memory:" : temporaryFolder(), "log-1");
  const log = new Changes();
  view = new View({ log, group, stores, partitions: 4 });
  let done = 0;
  const placeAfter = (records: number): Progress | null =>
    records === 0
      ? null
      : {
          inputs: [{ topic: "numbers", nextOffset: BigInt(records), checksum: 1 }],
          ...{ outputs: [], changelogOffset: null },
        };
  type Change = readonly [RowKind<string>, string | null, string?, string?];
  /** As an owner writes rows: kind, value, sub-key, key. */
  const write = (owner: Store, ...changes: readonly Change[]) => {
    done += 1;
    owner.apply({
      epoch: 1,
      inStepMs: null,
      before: placeAfter(done - 1),
      after: placeAfter(done) as Progress,
      rows: changes.map(([kind, value, subKey = "", of = key]) => [
        rowKey(keyPrefix(Buffer.from(of)), kind.tag, Buffer.from(subKey)),
        value === null ? null : kind.codec.encode(value),
      ]),
    });
  };
  return { stores, log, write, open: () => stores.open("g-table", 1) };
}

describe.each(["in memory", "on disk"])("a view of stores %s", (place) => {
  test("reads a store that is not there yet as empty, and then as it is", () => {
    const { log, open, write } = make(place);
    expect([view.get(key, notes), view.progress(1)]).toEqual([null, null]);
    expect([...view.scan(1, notes)]).toEqual([]);
    expect(view.read(key, (rows) => [rows.get(notes), rows.range(notes)])).toEqual([null, []]);
    expect(view.id(key, { topic: "numbers", id: "a" })).toBeNull();
    const before = view.version(1);
    write(open(), [notes, "hello"]);
    expect([view.get(key, notes), view.progress(1)]).toEqual(["hello", null]);
    log.notify();
    expect(view.progress(1)?.inputs[0]?.nextOffset).toBe(1n);
    if (place === "on disk") expect(view.version(1)).not.toBe(before);
    else expect(view.version(1)).toBe(-1);
  });

  test("reads while an owner writes, each row as it was last written", () => {
    const { open, write } = make(place);
    const owner = open();
    for (let n = 0; n < 20; n += 1) {
      const version = view.version(1);
      write(owner, [notes, `${n}`], [notes, `${n}`, "s"]);
      const seen = [view.get(key, notes), view.get(key, notes, Buffer.from("s"))];
      expect(seen).toEqual([`${n}`, `${n}`]);
      if (place === "on disk") expect(view.version(1)).not.toBe(version);
    }
    write(owner, [notes, null]);
    expect(view.get(key, notes)).toBeNull();
  });

  test("reads several rows of a key in one snapshot", () => {
    const { open, write } = make(place);
    const owner = open();
    write(owner, [notes, "1", "a"], [notes, "1", "b"]);
    const seen = view.read(key, (rows) => {
      const a = rows.get(notes, Buffer.from("a"));
      // In memory one connection is shared, and nobody can write in between.
      if (place === "on disk") write(owner, [notes, "2", "a"], [notes, "2", "b"]);
      return [a, ...rows.range(notes).map(({ value }) => value)];
    });
    expect(seen).toEqual(["1", "1", "1"]);
    const now = place === "on disk" ? "2" : "1";
    expect(view.get(key, notes, Buffer.from("b"))).toBe(now);
  });

  test("reads ranges of one kind, both ways, within bounds", () => {
    const { open, write } = make(place);
    write(open(), [notes, "-"], [notes, "b", "b"], [notes, "a", "a"], [marks, "m", "a"]);
    const range = (options = {}) =>
      view.read(key, (rows) => rows.range(notes, options).map(({ value }) => value));
    expect(range()).toEqual(["-", "a", "b"]);
    expect(range({ isReverse: true, limit: 2 })).toEqual(["b", "a"]);
    expect(range({ from: Buffer.from("a"), to: Buffer.from("b") })).toEqual(["a"]);
    expect(range({ limit: 0 })).toEqual([]);
  });

  test("scans all rows of a kind in a partition, page by page, and no others", () => {
    const { open, write } = make(place);
    const name = (n: number) => `key ${String(n).padStart(4, "0")}`;
    // Pages of 1,024 rows of any kind: three pages, one of which holds no note.
    const rows = Array.from({ length: 3_000 }, (_, n) => {
      const kind = n >= 1_000 && n < 2_100 ? marks : notes;
      return [kind, `${n}`, "", name(n)] as const;
    });
    write(open(), ...rows);
    const found = [...view.scan(1, notes)];
    expect(found.map(({ key: of, value }) => `${of} ${value}`)).toEqual(
      rows.filter(([kind]) => kind === notes).map(([, value, , of]) => `${of} ${value}`),
    );
    expect([...view.scan(1, marks)]).toHaveLength(1_100);
    expect([...view.scan(2, notes)]).toEqual([]);
  });

  test("scans from after a key on, whether it is there or not", () => {
    const { open, write } = make(place);
    // Keys of one byte before longer ones; of a key all rows together.
    const names = ["a", "b", "\xff", "aa", "ab", "b\xff"];
    const parts = ["", "1", "\xff\xff"];
    const rows = names.flatMap((of) => parts.map((part) => [notes, of, part, of] as const));
    write(open(), ...rows);
    const after = (of: string) => [...new Set([...view.scan(1, notes, of)].map((row) => row.key))];
    expect(after("")).toEqual(["a", "b", "aa", "ab", "\xff", "b\xff"]);
    expect(after("a")).toEqual(["b", "aa", "ab", "\xff", "b\xff"]);
    expect(after("c")).toEqual(["aa", "ab", "\xff", "b\xff"]);
    expect(after("ab")).toEqual(["\xff", "b\xff"]);
    expect(after("b\xff")).toEqual([]);
    expect(after("zzzz")).toEqual([]);
  });
  test("scans rows that end with a page once each", () => {
    const { open, write } = make(place);
    write(open(), ...Array.from({ length: 2_048 }, (_, n) => [notes, "x", `${n}`] as const));
    expect([...view.scan(1, notes)]).toHaveLength(2_048);
  });

  test("hears of changes until it is closed", () => {
    const { log } = make(place);
    expect(log.count).toBe(1);
    view.close();
    view.close();
    expect(log.count).toBe(0);
  });
});

test("is over once it is closed: no read opens a store again", () => {
  const { stores, open, write } = make("on disk");
  write(open(), [notes, "hello"]);
  expect([view.get(key, notes), view.progress(1)?.changelogOffset]).toEqual(["hello", null]);
  let opened = 0;
  const openForReading = stores.openForReading.bind(stores);
  stores.openForReading = (...place) => {
    opened += 1;
    return openForReading(...place);
  };
  view.close();
  for (const read of [
    () => view.get(key, notes),
    () => view.read(key, (rows) => rows.get(notes)),
    () => view.id(key, { topic: "numbers", id: "a" }),
    () => [...view.scan(1, notes)],
    () => view.progress(1),
    () => view.version(1),
  ]) {
    expect(read).toThrow(expect.objectContaining({ name: "StreamError", code: "closed" }));
  }
  expect(opened).toBe(0);
});

test("leaves a store that was deleted for the one that is built in its place", () => {
  const { stores, log, open, write } = make("on disk");
  const old = open();
  write(old, [notes, "old"]);
  const seen = () => [view.get(key, notes), view.progress(1)?.inputs[0]?.nextOffset ?? null];
  expect(seen()).toEqual(["old", 1n]);
  const version = view.version(1);
  old.close();
  rmSync(stores.folder, { recursive: true });
  log.notify();
  expect(seen()).toEqual(["old", 1n]); // until there is another
  const value = notes.codec.encode("new");
  const anew = open();
  anew.apply({
    epoch: 1,
    inStepMs: null,
    before: null,
    after: {
      inputs: [{ topic: "numbers", nextOffset: 7n, checksum: 1 }],
      ...{ outputs: [], changelogOffset: null },
    },
    rows: [[rowKey(keyPrefix(Buffer.from(key)), notes.tag, undefined), value]],
  });
  log.notify();
  expect(seen()).toEqual(["new", 7n]);
  expect([...view.scan(1, notes)]).toHaveLength(1);
  expect(view.version(1)).not.toBe(version);
  anew.close();
});

test("finds the partition of a key, and refuses a store of another log", () => {
  const { stores, open } = make("on disk");
  expect([0, 1, 2, 3].map((partition) => view.partitionOf(keyIn(partition)))).toEqual([0, 1, 2, 3]);
  open();
  const other = new Stores(stores.folder, "log-2");
  const foreign = new View({ log: new Changes(), group, stores: other, partitions: 4 });
  expect(() => foreign.get(key, notes)).toThrow("belongs to another log");
  foreign.close();
});
