import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type EmbeddedLog, openEmbeddedLog } from "../../../src/log/embedded/embedded-log.ts";
import { LogError } from "../../../src/log/event-log.ts";
import { codeOf, errorOf, readAll, record, texts } from "../../conformance/fixture.ts";
import { Member } from "../../conformance/member.ts";
import { thrown } from "../../thrown.ts";

const TOPIC = "events";
const SEAL = { movedTo: "the other house", incarnation: "other", isDone: false } as const;
let folder = "";
const opened: EmbeddedLog[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "seal-"));
});
afterEach(async () => {
  for (const log of opened.splice(0)) await log.close();
  rmSync(folder, { recursive: true });
});

function open(create = false): EmbeddedLog {
  const log = openEmbeddedLog({ folder, create, nowMs: Date.now });
  opened.push(log);
  return log;
}

async function newLog(): Promise<EmbeddedLog> {
  const log = open(true);
  await log.ensureTopics([{ name: TOPIC, partitions: 1, cleanup: "keep", retentionMs: null }]);
  return log;
}

describe("a sealed log", () => {
  test("refuses appends of every process that has it open, naming where it went", async () => {
    const log = await newLog();
    const other = open();
    await log.append([record(TOPIC, "before")]);
    await other.setSeal(SEAL);
    for (const each of [log, other, open()]) {
      const error = await errorOf(each.append([record(TOPIC, "after")]));
      expect(error.code).toBe("moved");
      expect(error.message).toContain(`the log in ${folder} is being moved to the other house`);
      expect(each.seal).toEqual(SEAL);
      expect(each.problem).toBe(error.message);
    }
    expect(texts(await readAll(log, TOPIC))).toEqual(["before"]);
  });

  test("takes what came before the seal, and nothing behind it, in one transaction", async () => {
    const log = await newLog();
    const outcomes = await Promise.allSettled([
      log.append([record(TOPIC, "first")]),
      log.setSeal(SEAL),
      log.append([record(TOPIC, "second")]),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected"]);
    expect(texts(await readAll(log, TOPIC))).toEqual(["first"]);
  });

  test("is not opened by who would make one, and is by who looks", async () => {
    const log = await newLog();
    await log.setSeal({ ...SEAL, isDone: true });
    await log.close();
    const error = thrown(LogError, () => open(true));
    expect(error.code).toBe("moved");
    expect(error.message).toContain("was moved to the other house: write there");
    expect(open().seal?.isDone).toBe(true);
  });

  test("lets a group go on with what is there", async () => {
    const log = await newLog();
    await log.append([record(TOPIC, "left")]);
    await log.setSeal(SEAL);
    const member = new Member(log, { group: "late", topics: [TOPIC] });
    const claim = await member.claim(0);
    const records = await claim.read(10);
    expect(texts(records)).toEqual(["left"]);
    const { offset, checksum } = records[0] as (typeof records)[number];
    await claim.commit({
      outputs: [record(TOPIC, "made of it")],
      changelog: [],
      inputs: [{ topic: TOPIC, nextOffset: offset + 1n, checksum }],
    });
    expect(texts(await readAll(log, TOPIC))).toEqual(["left", "made of it"]);
    await member.leave();
  });

  test("takes appends again once the move is given up, and not when it is done", async () => {
    const log = await newLog();
    const other = open();
    expect(await log.removeUnfinishedSeal()).toBeNull();
    await log.setSeal(SEAL);
    expect(await other.removeUnfinishedSeal()).toEqual(SEAL);
    await log.append([record(TOPIC, "again")]);
    await log.setSeal({ ...SEAL, isDone: true });
    expect(await other.removeUnfinishedSeal()).toMatchObject({ isDone: true });
    expect(await codeOf(log.append([record(TOPIC, "x")]))).toBe("moved");
  });

  test("may be sealed again, and a log that is not sealed says so", async () => {
    const log = await newLog();
    expect(log.seal).toBeNull();
    expect(log.problem).toBeNull();
    await log.setSeal(SEAL);
    await log.setSeal({ ...SEAL, movedTo: "elsewhere" });
    expect(log.seal?.movedTo).toBe("elsewhere");
    expect(await codeOf(log.append([record(TOPIC, "x")]))).toBe("moved");
  });
});

test("a log tells all its small values, and its topics", async () => {
  const log = await newLog();
  await log.setMeta("b", "2");
  await log.setMeta("a", "1");
  expect([...(await log.allMeta())]).toEqual([
    ["a", "1"],
    ["b", "2"],
  ]);
  expect(await log.topics()).toEqual([
    { name: TOPIC, partitions: 1, cleanup: "keep", retentionMs: null },
  ]);
});
