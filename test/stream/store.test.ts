import { describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { encodeProgress } from "../../src/log/progress-text.ts";
import { toLatin1 } from "../../src/stream/row-key.ts";
import type { Store } from "../../src/stream/store.ts";
import { Stores } from "../../src/stream/stores.ts";
import { after, apply, fenced, refused, textOf } from "./store-writes.ts";
import { removeFoldersAfterEach, temporaryFolder } from "./temporary-folder.ts";

removeFoldersAfterEach();

describe.each(["in memory", "on disk"])("a store %s", (place) => {
  const make = () => new Stores(place === "in memory" ? ":memory:" : temporaryFolder(), "log-1");

  test("may miss tombstones when its stamp is far from now, on either side", () => {
    let nowMs = 1_000;
    const { folder, incarnation } = make();
    const store = new Stores(folder, incarnation, () => nowMs).open("a-table", 0);
    store.take(1);
    apply(store, 1, null, 1);
    store.stamp({ epoch: 1, at: after(1), inStepMs: nowMs });
    const mayMissAt = (atMs: number) => {
      nowMs = atMs;
      return store.mayMissTombstones(100);
    };
    expect([899, 900, 1_100, 1_101].map(mayMissAt)).toEqual([true, false, false, true]);
    store.close();
  });

  test("gives back rows and place, also when opened again", () => {
    const stores = make();
    const store = stores.open("a-table", 3);
    expect([store.progress(), store.get("k")]).toEqual([null, null]);
    store.take(1);
    apply(store, 1, null, 2, [["k", "1"], ["m", "2"], ["\x00\xff", "3"]]);
    apply(store, 1, 2, 3, [["k", "4"], ["m", null], ["absent", null]]);
    store.close();
    const again = stores.open("a-table", 3);
    expect(again.progress()).toEqual(after(3));
    expect(["k", "m", "\x00\xff"].map((key) => textOf(again.get(key)))).toEqual(["4", null, "3"]);
    again.close();
    expect(stores.open("a-table", 4).progress()).toBeNull();
  });

  test("reads ranges of keys as unsigned bytes, both ways, bounded", () => {
    const store = make().open("a-table", 0);
    const keys = ["a", "a\x00", "a\x7f", "a\x80", "a\xff", "b"];
    apply(store, 1, null, 1, keys.toReversed().map((key) => [key, key]));
    const read = (isReverse: boolean, limit: number) => {
      const rows = store.range({ from: "a\x00", to: "b", isReverse, limit });
      return rows.map(({ key }) => toLatin1(key));
    };
    expect(read(false, -1)).toEqual(["a\x00", "a\x7f", "a\x80", "a\xff"]);
    expect(read(true, -1)).toEqual(["a\xff", "a\x80", "a\x7f", "a\x00"]);
    expect(read(false, 2)).toEqual(["a\x00", "a\x7f"]);
    expect(read(true, 1)).toEqual(["a\xff"]);
    expect(read(false, 0)).toEqual([]);
  });

  test("an owner that was followed by another changes nothing", () => {
    const stores = make();
    const [old, next] = [stores.open("a-table", 0), stores.open("a-table", 0)];
    old.take(1);
    apply(old, 1, null, 1, [["k", "old"]]);
    next.take(2);
    fenced(() => apply(old, 1, 1, 2, [["k", "late"], ["n", "late"]]));
    fenced(() => old.take(1));
    expect([textOf(old.get("k")), old.get("n"), old.progress()]).toEqual(["old", null, after(1)]);
    apply(next, 2, 1, 2, [["k", "new"]]);
    fenced(() => apply(old, 1, 2, 3, [["k", "later"]]));
    expect([textOf(next.get("k")), next.progress()]).toEqual(["new", after(2)]);
  });

  test("refuses rows that build on another place, with nothing written", () => {
    const store = make().open("a-table", 0);
    apply(store, 1, null, 5);
    for (const from of [null, 4, 6]) fenced(() => apply(store, 1, from, 7, [["k", "1"]]));
    expect([store.get("k"), store.progress()]).toEqual([null, after(5)]);
    apply(store, 1, 5, 7, [["k", "1"]]);
    expect(textOf(store.get("k"))).toBe("1");
  });

  test("a write that fails half-way leaves neither rows nor place", () => {
    const store = make().open("a-table", 0);
    const rows = function* (): Generator<[string, Uint8Array]> {
      yield ["k", Buffer.from("1")];
      throw new Error("no more");
    };
    const change = { epoch: 1, inStepMs: 0, before: null, after: after(1), rows: rows() };
    expect(() => store.apply(change)).toThrow("no more");
    expect([store.get("k"), store.progress()]).toEqual([null, null]);
    apply(store, 1, null, 1, [["k", "1"]]);
  });

  test("reads of one snapshot see one state", () => {
    const stores = make();
    const owner = stores.open("a-table", 0);
    const reader = stores.openForReading("a-table", 0) as Store;
    apply(owner, 1, null, 1, [["k", "1"]]);
    const seen = reader.snapshot(() => {
      const before = textOf(reader.get("k"));
      // In memory there is one connection and one thread: nobody can write in between.
      if (place === "on disk") apply(owner, 1, 1, 2, [["k", "2"]]);
      return [before, textOf(reader.get("k")), reader.snapshot(() => reader.progress())];
    });
    expect(seen).toEqual(["1", "1", after(1)]);
    expect(textOf(reader.get("k"))).toBe(place === "on disk" ? "2" : "1");
    const failing = () => {
      throw new Error("read failed");
    };
    expect(() => reader.snapshot(failing)).toThrow("read failed");
    expect(textOf(reader.get("k"))).toBe(place === "on disk" ? "2" : "1");
  });
});

test("a reader can tell that another connection has changed the file", () => {
  const stores = new Stores(temporaryFolder(), "log-1");
  const owner = stores.open("a-table", 0);
  const reader = stores.openForReading("a-table", 0) as Store;
  const before = reader.version();
  expect(reader.version()).toBe(before);
  apply(owner, 1, null, 1);
  expect(reader.version()).not.toBe(before);
});

test("a store that loses its place while it is open says so, and changes nothing", () => {
  const store = new Stores(temporaryFolder(), "log-1").open("a-table", 0);
  apply(store, 1, null, 1, [["k", "1"]]);
  store["database"].exec("DELETE FROM place");
  const uses = [
    () => apply(store, 1, 1, 2, [["k", "2"]]),
    () => store.take(2),
    () => store.progress(),
  ];
  for (const use of uses) {
    expect(refused(use)).toMatchObject({
      code: "store_mismatch",
      message: expect.stringContaining("has lost its place"),
    });
  }
  expect(textOf(store.get("k"))).toBe("1");
});

test("a store says what went wrong in a snapshot that the disk has ended", () => {
  const store = new Stores(temporaryFolder(), "log-1").open("a-table", 0);
  const failing = () => {
    store["database"].exec("ROLLBACK"); // as SQLite does when it cannot read
    throw new Error("read failed");
  };
  expect(() => store.snapshot(failing)).toThrow("read failed");
  const database = () => store.snapshot(() => store["database"].exec("SELECT * FROM nothing"));
  expect(refused(database).message).toContain(store.path);
});

describe("a place that an earlier program spelled otherwise", () => {
  function withSpelling(): Store {
    const stores = new Stores(temporaryFolder(), "log-1");
    const store = stores.open("a-table", 0);
    apply(store, 1, null, 5, [["k", "1"]]);
    const counted = encodeProgress({ ...after(5), counts: { "a-count": 3 } });
    const database = new Database(store.path);
    database.query("UPDATE place SET progress = ?").run(counted);
    database.close();
    expect(store.progress()).toEqual({ ...after(5), counts: { "a-count": 3 } });
    return store;
  }

  test.each([true, false])("is the same place, whether taken first (%p) or not", (isTaken) => {
    const store = withSpelling();
    if (isTaken) store.take(2);
    apply(store, 2, 5, 6, [["k", "2"]]);
    expect([textOf(store.get("k")), store.progress()]).toEqual(["2", after(6)]);
    apply(store, 2, 6, 7);
  });

  test("is stamped as what it is", () => {
    const store = withSpelling();
    store.stamp({ epoch: 1, at: after(5), inStepMs: 1_000 });
    expect(store.mayMissTombstones(999)).toBe(true); // its clock stands at 0
  });

  test("is still no other place, and no stale owner's", () => {
    const store = withSpelling();
    store.take(2);
    for (const from of [null, 4, 6]) fenced(() => apply(store, 2, from, 7, [["k", "2"]]));
    fenced(() => apply(store, 1, 5, 7, [["k", "2"]]));
    store.stamp({ epoch: 2, at: after(4), inStepMs: 1_000 });
    expect(store.mayMissTombstones(999)).toBe(false);
    expect([textOf(store.get("k")), store.progress()?.inputs]).toEqual(["1", after(5).inputs]);
  });
});
