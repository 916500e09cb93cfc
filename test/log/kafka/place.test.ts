import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { type PlaceOptions, takePlace } from "../../../src/log/kafka/place.ts";
import { removeFoldersAfterEach, temporaryFolder } from "../../stream/temporary-folder.ts";

removeFoldersAfterEach();

function taking(options: Partial<PlaceOptions> = {}) {
  const place = { clusterId: "cluster", prefix: "", purpose: "test" };
  const all = { folder: temporaryFolder(), ...place, ...options };
  return { ...all, take: () => takePlace(all) };
}

test("each takes the first free folder, and makes it where there is none", () => {
  const { folder, take } = taking();
  const [one, two, three] = [take(), take(), take()];
  const paths = [one, two, three].map((place) => relative(folder, place.folder));
  expect(paths).toEqual(["kafka/cluster/_/0", "kafka/cluster/_/1", "kafka/cluster/_/2"]);
  expect(existsSync(three.folder)).toBe(true);
  two.release();
  two.release();
  const next = take();
  expect(next.folder).toBe(two.folder);
  for (const place of [one, next, three]) place.release();
});

test("a place is found again by its own purpose alone", () => {
  const folder = temporaryFolder();
  const take = (purpose: string) => taking({ folder, purpose }).take();
  const name = (place: { readonly folder: string }) => relative(folder, place.folder).slice(-1);
  const first = take("process");
  first.remember("words", "member-1");
  const server = take("serve");
  expect([name(first), name(server)]).toEqual(["0", "1"]);
  first.release();
  // The process is away, and commands come and go: one after another, and two at once.
  const commands = [take("command"), take("command")];
  expect(commands.map(name)).toEqual(["2", "3"]);
  const again = take("process");
  expect([name(again), again.former("words")]).toEqual(["0", "member-1"]);
  for (const each of [...commands, server, again]) each.release();
  expect(name(take("command"))).toBe("2");
  expect(name(take("serve"))).toBe("1");
});

test("a purpose that was left half written is none", () => {
  const { folder, take } = taking();
  const first = take();
  first.release();
  writeFileSync(join(first.folder, "purpose"), "");
  const other = taking({ folder, purpose: "other" }).take();
  expect(other.folder).toBe(first.folder);
  other.release();
  expect(take().folder).not.toBe(first.folder);
});

test("clusters and prefixes have folders of their own", () => {
  const folder = temporaryFolder();
  const of = (clusterId: string, prefix: string) => {
    const place = takePlace({ folder, clusterId, prefix, purpose: "test" });
    place.release();
    return relative(folder, place.folder);
  };
  expect(of("Ab-_9", "")).toBe("kafka/Ab-_9/_/0");
  expect(of("Ab-_9", "test-")).toBe("kafka/Ab-_9/test-/0");
  expect(of("other", "test-")).toBe("kafka/other/test-/0");
  // No id of a cluster leads out of the folder, and none that differ meet.
  const strange = ["", ".", "..", "../../a", "a/b", "x".repeat(300)].map((id) => of(id, ""));
  for (const path of strange) expect(path).toMatch(/^kafka\/id-[0-9a-f]{32}\/_\/0$/);
  expect(new Set(strange).size).toBe(strange.length);
});

test("a restart finds what was left, once for each group", () => {
  const { take } = taking();
  const first = take();
  expect(first.former("words")).toBeNull();
  first.remember("words", "member-1");
  first.remember("lines", "member-2");
  first.remember("gone", "member-3");
  first.remember("gone", null);
  first.release();
  const second = take();
  expect(second.former("words")).toBe("member-1");
  // Another join of this process must not end the membership of the first.
  expect(second.former("words")).toBeNull();
  expect(second.former("gone")).toBeNull();
  second.release();
  const third = take();
  // Asked for, not replaced: a process that is killed before its join leaves it to the next.
  expect(third.former("words")).toBe("member-1");
  expect(third.former("lines")).toBe("member-2");
  third.release();
});

test("what was left half written is nothing", () => {
  const { take } = taking();
  const first = take();
  first.release();
  for (const text of ["", "{", "null", "[1]", '{"words":7}']) {
    writeFileSync(join(first.folder, "members.json"), text);
    const place = take();
    expect(place.former("words")).toBeNull();
    place.remember("words", "member");
    place.release();
    const next = take();
    expect(next.former("words")).toBe("member");
    next.release();
  }
  expect(readdirSync(first.folder).toSorted()).toEqual(["lock.db", "members.json", "purpose"]);
});

test("an id that cannot be kept is no failure", () => {
  const { take } = taking();
  const place = take();
  mkdirSync(join(place.folder, "members.json.new"));
  expect(() => place.remember("words", "member")).not.toThrow();
  place.release();
});

test("a place that cannot be made is named, and what to do", () => {
  const folder = join(temporaryFolder(), "file");
  writeFileSync(folder, "");
  const { take } = taking({ folder });
  expect(take).toThrow(/file.kafka.cluster._.0 cannot be used: .*; choose a folder that can be/);
});

test("a process has its place until it ends, kill -9 included", async () => {
  const { folder, take } = taking();
  const [one, two] = [holder(folder, "a"), holder(folder, "b")];
  try {
    const folders = [await one.place(), await two.place()];
    expect(folders.map((path) => relative(folder, path)).toSorted()).toEqual([
      "kafka/cluster/_/0",
      "kafka/cluster/_/1",
    ]);
    const third = take();
    expect(relative(folder, third.folder)).toBe("kafka/cluster/_/2");
    third.release();
    await one.kill();
    const again = take();
    expect(again.folder).toBe(folders[0] as string);
    expect(again.former("words")).toBe("a");
    again.release();
  } finally {
    await Promise.all([one.kill(), two.kill()]);
  }
}, 30_000);

function holder(folder: string, id: string) {
  const program = [process.execPath, join(import.meta.dir, "place-holder.ts"), folder, id];
  const child = Bun.spawn(program, { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  const reader = child.stdout.getReader();
  return {
    place: async () => new TextDecoder().decode((await reader.read()).value).trim(),
    kill: async () => {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}
