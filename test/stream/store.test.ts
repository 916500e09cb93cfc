import { describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import * as files from "node:fs";
import { join } from "node:path";
import type { Progress } from "../../src/log/event-log.ts";
import { toLatin1 } from "../../src/stream/row-key.ts";
import { type Store, Stores } from "../../src/stream/store.ts";
import { StreamError } from "../../src/stream/stream-error.ts";
import { removeFoldersAfterEach, temporaryFolder } from "./temporary-folder.ts";

removeFoldersAfterEach();

/** The place after so many records. */
function after(records: number): Progress {
  const inputs = [{ topic: "items", nextOffset: BigInt(records), checksum: records }];
  const outputs = [{ topic: "out", partition: 2, lastOffset: 7n }];
  return { inputs, outputs, changelogOffset: null };
}

type Rows = readonly (readonly [string, string | null])[];
function apply(store: Store, epoch: number, from: number | null, to: number, rows: Rows = []) {
  store.apply({
    epoch,
    inStepMs: null,
    before: from === null ? null : after(from),
    after: after(to),
    rows: rows.map(([key, value]) => [key, value === null ? null : Buffer.from(value)]),
  });
}

const textOf = (bytes: Uint8Array | null) => bytes && Buffer.from(bytes).toString();

function errorOf(run: () => unknown): { code: string; message: string } {
  try {
    run();
  } catch (error) {
    if (error instanceof StreamError) return error;
    throw error;
  }
  throw new Error("it did not throw");
}
const fenced = (run: () => unknown) => expect(errorOf(run).code).toBe("store_fenced");

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

  test("is not there for a reader before an owner has made it", () => {
    const stores = make();
    expect(stores.openForReading("a-table", 0)).toBeNull();
    if (place === "on disk") expect(files.existsSync(join(stores.folder, "a-table"))).toBe(false);
    stores.open("a-table", 0);
    expect(stores.openForReading("a-table", 0)?.progress()).toBeNull();
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

describe("a file that is not this log's store", () => {
  function withStore(change: (path: string) => void): { stores: Stores; path: string } {
    const stores = new Stores(temporaryFolder(), "log-1");
    const store = stores.open("a-table", 0);
    const rows = Array.from({ length: 2_000 }, (_, i) => [`key ${i}`, `value ${i}`] as const);
    apply(store, 1, null, 1, rows);
    store.close();
    change(store.path);
    return { stores, path: store.path };
  }

  function refusal(stores: Stores, path: string): string {
    const ways = [() => stores.open("a-table", 0), () => stores.openForReading("a-table", 0)];
    for (const open of ways) {
      const { code, message } = errorOf(open);
      expect(code).toBe("store_mismatch");
      expect(message).toContain(path);
      expect(message).toContain("delete it, and it is built anew");
    }
    return errorOf(() => stores.open("a-table", 0)).message;
  }

  const sql = (statement: string) => (path: string) => {
    const database = new Database(path);
    database.exec(statement);
    database.close();
  };

  test("is refused when it is of another log", () => {
    const { stores, path } = withStore(() => {});
    expect(refusal(new Stores(stores.folder, "log-2"), path)).toContain("belongs to another log");
    expect(stores.open("a-table", 0).progress()).toEqual(after(1));
  });

  test("is refused when it has another format, whatever its tables look like", () => {
    const { stores, path } = withStore(sql("UPDATE place SET format = '99'"));
    expect(refusal(stores, path)).toContain("has format 99");
    const later = withStore(sql("UPDATE place SET format = '99'; DROP TABLE rows"));
    expect(refusal(later.stores, later.path)).toContain("has format 99");
  });

  test.each<[string, (path: string) => void]>([
    ["is no database", (path) => files.writeFileSync(path, Buffer.alloc(8_192, "x"))],
    ["has lost its tables", sql("DROP TABLE rows")],
    ["has lost its place", sql("DELETE FROM place")],
    ["was cut off", (path) => files.truncateSync(path, 4_096)],
  ])("is refused when it %s", (_, change) => {
    const { stores, path } = withStore(change);
    refusal(stores, path);
  });

  test("is refused when its place is not what an owner wrote", () => {
    const { stores, path } = withStore(sql("UPDATE place SET progress = '{'"));
    const { code, message } = errorOf(() => stores.open("a-table", 0).progress());
    expect([code, message.includes(path)]).toEqual(["store_mismatch", true]);
  });

  test("says what went wrong in a snapshot that the disk has ended", () => {
    const store = new Stores(temporaryFolder(), "log-1").open("a-table", 0);
    const failing = () => {
      store["database"].exec("ROLLBACK"); // as SQLite does when it cannot read
      throw new Error("read failed");
    };
    expect(() => store.snapshot(failing)).toThrow("read failed");
    const database = () => store.snapshot(() => store["database"].exec("SELECT * FROM nothing"));
    expect(errorOf(database).message).toContain(store.path);
  });

  test("is not given up for a place that cannot be used at the moment", () => {
    const { stores, path } = withStore((file) => {
      files.rmSync(file);
      files.mkdirSync(file);
    });
    const { code, message } = errorOf(() => stores.open("a-table", 0));
    expect([code, message.includes(path), message.includes("delete")]).toEqual([
      "store_unavailable",
      true,
      false,
    ]);
  });

  test("is not given up while another holds its lock", () => {
    const { stores, path } = withStore(() => {});
    const store = stores.open("a-table", 0);
    const holder = new Database(path);
    holder.exec("BEGIN IMMEDIATE");
    expect(errorOf(() => store.take(2)).code).toBe("store_unavailable");
    expect(errorOf(() => apply(store, 2, 1, 2)).code).toBe("store_unavailable");
    expect(store.progress()).toEqual(after(1));
    holder.exec("ROLLBACK");
    apply(store, 2, 1, 2);
    expect(store.progress()).toEqual(after(2));
  });

  test("is refused when a page within it is damaged, as soon as that is read", () => {
    const { stores, path } = withStore((file) => {
      const content = files.readFileSync(file);
      content.fill(0xee, 4_096, files.statSync(file).size);
      files.writeFileSync(file, content);
    });
    const { code, message } = errorOf(() => {
      const store = stores.open("a-table", 0);
      store.get("key 1");
    });
    expect([code, message.includes(path)]).toEqual(["store_mismatch", true]);
  });

  test("is made anew once it is deleted, even when its WAL stays behind", () => {
    const stores = new Stores(temporaryFolder(), "log-1");
    const store = stores.open("a-table", 0);
    apply(store, 1, null, 1, [["k", "1"]]);
    const wal = files.readFileSync(`${store.path}-wal`);
    store.close();
    files.rmSync(store.path);
    files.writeFileSync(`${store.path}-wal`, wal);
    const again = stores.open("a-table", 0);
    expect([again.progress(), again.get("k")]).toEqual([null, null]);
  });
});

test("a store that another process makes just now reads as absent or whole", async () => {
  const folder = temporaryFolder();
  const count = 100;
  const making = Bun.spawn([process.execPath, "-e", MAKE_STORES], {
    env: { ...process.env, FOLDER: folder, COUNT: String(count) },
    cwd: import.meta.dir,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const stores = new Stores(folder, "incarnation");
  const deadlineMs = performance.now() + 20_000;
  for (let next = 0; next < count; ) {
    const store = stores.openForReading("making", next);
    if (store === null) {
      expect(performance.now()).toBeLessThan(deadlineMs);
      await Bun.sleep(0);
      continue;
    }
    expect(store.progress()).toBeNull();
    store.close();
    next += 1;
  }
  const [code, err] = await Promise.all([making.exited, making.stderr.text()]);
  expect({ code, err }).toEqual({ code: 0, err: "" });
});

const MAKE_STORES = `
  import { Stores } from "../../src/stream/store.ts";
  const stores = new Stores(process.env.FOLDER, "incarnation");
  for (let i = 0; i < Number(process.env.COUNT); i++) stores.open("making", i).close();
`;
