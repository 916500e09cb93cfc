import { describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import * as files from "node:fs";
import { join } from "node:path";
import { Stores } from "../../src/stream/stores.ts";
import { after, apply, refused } from "./store-writes.ts";
import { removeFoldersAfterEach, temporaryFolder } from "./temporary-folder.ts";

removeFoldersAfterEach();

test.each(["memory", "files"])("in %s a store is not there before an owner made it", (place) => {
  const stores = new Stores(place === "memory" ? ":memory:" : temporaryFolder(), "log-1");
  expect(stores.openForReading("a-table", 0)).toBeNull();
  if (place === "files") expect(files.existsSync(join(stores.folder, "a-table"))).toBe(false);
  stores.open("a-table", 0);
  expect(stores.openForReading("a-table", 0)?.progress()).toBeNull();
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
      const { code, message } = refused(open);
      expect(code).toBe("store_mismatch");
      expect(message).toContain(path);
      expect(message).toContain("delete it, and it is built anew");
    }
    return refused(() => stores.open("a-table", 0)).message;
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
    const { code, message } = refused(() => stores.open("a-table", 0).progress());
    expect([code, message.includes(path)]).toEqual(["store_mismatch", true]);
  });

  test("is not given up for a place that cannot be used at the moment", () => {
    const { stores, path } = withStore((file) => {
      files.rmSync(file);
      files.mkdirSync(file);
    });
    const { code, message } = refused(() => stores.open("a-table", 0));
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
    expect(refused(() => store.take(2)).code).toBe("store_unavailable");
    expect(refused(() => apply(store, 2, 1, 2)).code).toBe("store_unavailable");
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
    const { code, message } = refused(() => {
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
  import { Stores } from "../../src/stream/stores.ts";
  const stores = new Stores(process.env.FOLDER, "incarnation");
  for (let i = 0; i < Number(process.env.COUNT); i++) stores.open("making", i).close();
`;
