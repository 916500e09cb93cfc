import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { openApp } from "../../src/app.ts";
import { plainText } from "../../src/cli/dead-letter-text.ts";
import { delay } from "../../src/cli/stopping.ts";
import { depositStream, newDeposit } from "../../src/deposits/deposit.ts";
import type { NewRecord } from "../../src/log/event-log.ts";
import { partitionOf } from "../../src/stream/partitioner.ts";
import { Running, run, temporaryFolder, withoutActionLines } from "../end-to-end/program.ts";

const TEST_MS = 60_000;
const PARTITIONS = 8;
const HOUR_MS = 3_600_000;
const folder = temporaryFolder();
const options = { folder: folder.path };
afterAll(() => folder[Symbol.dispose]());

const home = (wallet: string) => partitionOf(Buffer.from(wallet), PARTITIONS);
const deposit = (amountMinor: bigint, acceptedAtMs: number): Uint8Array =>
  depositStream.codec.encode(newDeposit({ amountMinor, acceptedAtMs }));

/** Positions of what other clients wrote, by wallet. */
const written: Record<string, string> = {};

/** As another client of the log, whose clock is an hour slow. */
async function write(...records: (Partial<NewRecord> & { of: string })[]): Promise<void> {
  const app = await openApp({
    ...{ folder: join(folder.path, "depositaja-data"), create: true, delay },
    nowMs: () => Date.now() - HOUR_MS,
  });
  for (const { of, ...more } of records) {
    const key = Buffer.from(of);
    const record = { topic: "deposit", partition: home(of), key, value: null, ...more };
    const [offset] = await app.log.append([record]);
    written[of] = `${record.partition}-${offset}`;
  }
  await app.close();
}

const command = async (...args: string[]) =>
  withoutActionLines(await run(options, "dead-letters", ...args));
const balance = async (wallet: string) => {
  const { out } = await run(options, "check", wallet, "--json");
  return JSON.parse(out) as { balance: string; above_threshold: boolean };
};
const lines = (out: string) =>
  out
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);

beforeAll(async () => {
  const nowMs = Date.now();
  await write(
    { of: "undecodable", value: Buffer.from("\u001b[2Jno deposit") },
    // Ahead of the log's time then, and not any more.
    { of: "early", value: deposit(1_000_001n, nowMs - HOUR_MS / 2) },
    { of: "zero", value: deposit(0n, 1_000), headers: [["id", Buffer.from("z")]] },
    { of: "astray", value: deposit(700n, 1_000), partition: (home("astray") + 1) % PARTITIONS },
  );
  expect(await run(options, "deposit", "twice", "1", "--id", "x")).toMatchObject({ code: 0 });
  const conflict = await run(options, "deposit", "twice", "2", "--id", "x");
  expect(conflict).toMatchObject({ code: 1 });
  written["twice"] = `${home("twice")}-${/\(\d+-(\d+)\)/.exec(conflict.err)?.[1]}`;
}, TEST_MS);

describe("dead-letters list", () => {
  test("prints one JSON object a line: what was refused, by whom, why and when", async () => {
    const { code, out } = await command("list", "--json");
    expect(code).toBe(0);
    const all = lines(out);
    const story = ({ processor, group, reason, key }: Record<string, unknown>) =>
      `${processor} ${group} ${reason} ${key}`;
    const each = (processor: string) => [
      `${processor} id_conflict twice`,
      `${processor} invalid_record early`,
      `${processor} invalid_record zero`,
      `${processor} undecodable undecodable`,
      `${processor} wrong_partition astray`,
    ];
    expect(all.map(story).sort()).toEqual([
      ...each("collector balance"),
      ...each("detector threshold"),
    ]);
    const zero = all.find(({ key }) => key === "zero");
    expect(zero).toEqual({
      processor: "collector",
      group: "balance",
      record: `deposit:${written["zero"]}`,
      reason: "invalid_record",
      detail: "amount must be more than 0",
      refused_at_ms: expect.any(Number),
      refused_at: new Date(zero?.["refused_at_ms"] as number).toISOString(),
      key: "zero",
      handled: [],
    });
  }, TEST_MS);

  test("prints a line each, of one processor by either name", async () => {
    const [one, other] = [await command("list", "collector"), await command("list", "balance")];
    expect(one).toMatchObject({ code: 0, out: other.out });
    const [head = "", ...rows] = one.out.split("\n").slice(0, 6);
    expect(head).toMatch(/^processor {2}record +reason +refused at +key +why$/);
    const columns = ["record", "reason", "refused at", "key", "why"].map((each) =>
      head.indexOf(each),
    );
    for (const row of rows) {
      for (const column of columns) expect(row.slice(column - 2, column + 1)).toMatch(/^ {2}\S$/);
    }
    const start = `collector  deposit:${written["zero"]}  invalid_record  `;
    const line = rows.find((each) => each.startsWith(start));
    expect(line).toMatch(/ \d{4}-\d\d-\d\dT\S+Z {2}zero +amount must be more than 0$/);
    const conflict = rows.find((each) => each.includes("id_conflict"));
    expect(conflict).toMatch(/id "x" was counted at \d-\d+ with 1\.00; \d-\d+ has 2\.00$/);
    const [first] = rows.map((row) => row.split(/ +/).slice(0, 2).join(" "));
    expect(one.out.split("\n").slice(6)).toEqual([
      "",
      expect.stringMatching(new RegExp(`^all of one: .*dead-letters show ${first}$`)),
      "",
    ]);
    expect(await command("list", "flagger")).toMatchObject({
      code: 0,
      out: "there are no dead letters\n",
    });
  }, TEST_MS);
});

describe("dead-letters show", () => {
  test("decodes as far as it goes", async () => {
    const shown = async (wallet: string) => {
      const { out } = await command("show", "collector", written[wallet] as string, "--json");
      return lines(out)[0];
    };
    expect(await shown("zero")).toMatchObject({
      reason: "invalid_record",
      content: { key: { text: "zero" }, id: { text: "z" } },
      type: "depositaja.v1.Deposit",
      message: { amountMinor: "0", acceptedAtMs: "1000" },
      replay_problem: "would be refused again: invalid_record: amount must be more than 0",
    });
    expect(await shown("undecodable")).toMatchObject({
      content: { key: { text: "undecodable" }, id: null, value: { bytes: 14 } },
      message: null,
      replay_problem: expect.stringContaining("would be refused again: undecodable"),
    });
    expect(await shown("early")).toMatchObject({ replay_problem: null });
    expect(await shown("twice")).toMatchObject({
      content: { id: { text: "x" } },
      replay_problem: expect.stringContaining("--new-id"),
    });
  }, TEST_MS);

  test("prints nothing that a terminal would obey", async () => {
    const { code, out } = await command("show", "detector", `deposit:${written["undecodable"]}`);
    expect(code).toBe(0);
    expect(out).not.toMatch(/[^\P{C}\n]/u);
    expect(out).toMatch(/^refused {2}by detector \(threshold\): undecodable$/m);
    expect(out).toMatch(/^value {4}14 bytes: hex 1b5b324a/m);
    expect(plainText("a\u001b[2J\u202eb\u2028c é")).toBe("a\\u{1b}[2J\\u{202e}b\\u{2028}c é");
  }, TEST_MS);
});

describe("dead-letters replay", () => {
  test("has each processor take it once, and no other take it again", async () => {
    const by = ["--by", "ann", "--reason", "its clock was slow"];
    const early = written["early"] as string;
    const taken = await command("replay", "collector", early, ...by);
    expect(taken).toMatchObject({ code: 0, err: "" });
    expect(taken.out.replace(/\d+-\d+: coll/, "?: coll")).toBe(
      `deposit:${early} is replayed as ?: collector (balance) has taken it\n`,
    );
    expect(await balance("early")).toMatchObject({ balance: "10000.01", above_threshold: false });
    const detector = await command("replay", "threshold", early, "--json");
    expect(lines(detector.out)).toMatchObject([{ processor: "detector", outcome: "taken" }]);
    expect(await balance("early")).toMatchObject({ balance: "10000.01", above_threshold: true });
    for (const processor of ["collector", "detector"]) {
      const again = await command("replay", processor, early, "--json");
      expect(again.code).toBe(0);
      expect(lines(again.out)).toMatchObject([{ outcome: "counted_before" }]);
    }
    expect(await balance("early")).toMatchObject({ balance: "10000.01" });
    const { out } = await run(options, "flags", "early");
    expect(out).toContain(`deposit:${early}`);
    expect((await command("list")).out).not.toContain(`deposit:${early} `);
    expect((await command("list", "collector", "--all")).out).toMatch(
      /\[replayed as \d-\d+ by ann: its clock was slow\]|\[replayed as \d-\d+ by \S+\]/,
    );
  }, TEST_MS);

  test("puts what stood astray into its wallet's partition", async () => {
    const astray = written["astray"] as string;
    const taken = await command("replay", "balance", `deposit:${astray}`, "--json");
    expect(lines(taken.out)[0]?.["as"]).toStartWith(`${home("astray")}-`);
    expect(await balance("astray")).toMatchObject({ balance: "7.00" });
  }, TEST_MS);

  test("does not replay what would be refused again, says why, and ends with 1", async () => {
    const undecodable = await command("replay", "collector", written["undecodable"] as string);
    expect(undecodable).toMatchObject({ code: 1, out: "" });
    expect(undecodable.err).toContain("it would be refused again (undecodable)");
    const records = [written["zero"] as string, written["twice"] as string];
    const two = await command("replay", "collector", ...records);
    expect(two).toMatchObject({ code: 1, out: "" });
    expect(two.err).toContain("is not replayed: amount must be more than 0; it would be refused");
    expect(two.err).toMatch(/id "x" was counted at \d-\d+ with 1\.00; this record has 2\.00;/);
    expect(two.err).toContain("with --new-id it is taken as a record of its own");
    expect(two.err).toContain("2 of 2 letters were not taken");
    expect(await balance("twice")).toMatchObject({ balance: "1.00" });
  }, TEST_MS);

  test("counts what conflicts as a deposit of its own with --new-id, once", async () => {
    const twice = written["twice"] as string;
    for (const outcome of ["taken", "counted_before"]) {
      const replayed = await command("replay", "collector", twice, "--new-id", "--json");
      expect(lines(replayed.out)).toMatchObject([{ outcome }]);
    }
    expect(await balance("twice")).toMatchObject({ balance: "3.00" });
    const same = await run(options, "deposit", "twice", "1", "--id", "x");
    expect(same).toMatchObject({ code: 0 });
    expect(await balance("twice")).toMatchObject({ balance: "3.00" });
  }, TEST_MS);
});

describe("dead-letters drop", () => {
  test("hides it from the list; --all shows who dropped it and why", async () => {
    const zero = written["zero"] as string;
    const dropped = await command("drop", "detector", zero, "--reason", "a test", "--by", "ben");
    expect(dropped).toMatchObject({ code: 0, out: `deposit:${zero} is dropped\n`, err: "" });
    expect((await command("list", "detector")).out).not.toContain(`deposit:${zero} `);
    expect((await command("list", "collector")).out).toContain(`deposit:${zero} `);
    const all = await command("list", "detector", "--all");
    expect(all.out).toContain("amount must be more than 0  [dropped by ben: a test]\n");
    const again = await command("drop", "detector", zero, "--reason", "b", "--json");
    expect(lines(again.out)[0]?.["handled"]).toMatchObject([{ actor: "ben", how: "dropped" }]);
    const shown = await command("show", "detector", zero);
    expect(shown.out).toMatch(/^handled {2}dropped by ben: a test, \d{4}-/m);
  }, TEST_MS);
});

test("beside a running service the work is left to it", async () => {
  await using up = new Running(options, "up", "--port", "0");
  await up.serves();
  await write({ of: "later", value: deposit(500n, Date.now() - HOUR_MS / 2) });
  const later = written["later"] as string;
  expect((await command("list")).out).toContain(`collector  deposit:${later}  invalid_record`);
  expect(await command("replay", "collector", later)).toMatchObject({ code: 0, err: "" });
  expect(await balance("later")).toMatchObject({ balance: "5.00" });
  expect((await up.stop()).code).toBe(0);
  const { out } = await command("replay", "collector", later, "--json");
  expect(lines(out)).toMatchObject([{ outcome: "counted_before" }]);
}, TEST_MS);

describe("wrong usage is told what to do", () => {
  test.each<[string[], number, string]>([
    [["list", "colector"], 2, "there is no processor colector: name collector (balance), detector"],
    [["show", "collector", "17"], 2, '"17" names no record: give partition and offset, such as'],
    [["show", "collector", "9-0"], 2, '"9-0" names no record'],
    [["show", "flagger", "0-0"], 1, "flagger has no dead letter of 0-0: look with `dead-letters"],
    [["replay", "collector"], 2, "name the record that was refused, too: `dead-letters replay co"],
    [["show"], 2, "missing required argument 'processor'"],
    [["show", "deposit:5-189"], 2, "name the processor that refused it, too, before the record"],
    [["--brokers", "k:9092"], 2, "say what to do first: dead-letters list, show, replay or drop"],
    [["replay", "collector", "0-9", "--by", ""], 2, "the name of who does it must not be empty"],
    [["drop", "collector", "0-0"], 2, "required option '--reason <text>' not specified"],
    [["drop", "collector", "0-0", "--reason", ""], 2, "--reason must say why"],
    [["drop", "collector", "0-0", "--reason", "a\nb"], 2, "without control characters"],
    [["list", "--data", "elsewhere"], 1, "there is no data in"],
    [["--data", "x", "list"], 2, "unknown option '--data'"],
    [["lst"], 2, "unknown command 'lst'"],
    [["list", "--jsn"], 2, "(Did you mean --json?)"],
  ])("%j", async (args, code, message) => {
    const outcome = await command(...args);
    expect({ code: outcome.code, out: outcome.out }).toEqual({ code, out: "" });
    expect(outcome.err).toContain(message);
    expect(outcome.err).not.toMatch(/^ +at /m);
  }, TEST_MS);

  test("each has help with an example", async () => {
    for (const name of ["list", "show", "replay", "drop"]) {
      const help = await command(name, "--help");
      expect(help).toMatchObject({ code: 0, err: "" });
      expect(help.out).toMatch(new RegExp(`Example:\\n  .*dead-letters ${name}`));
    }
    expect((await command("--help")).out).toMatch(/Example:\n {2}.*dead-letters list/);
    const bare = await command();
    expect(bare).toMatchObject({ code: 2, out: "" });
    expect(bare.err).toContain("replay");
  }, TEST_MS);
});
