import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { Running, run, PROGRAM, temporaryFolder, until, withoutActionLines } from "./program.ts";
import { post } from "./session.ts";

const TEST_MS = 60_000;
const folder = temporaryFolder();
const options = { folder: folder.path };
afterAll(() => folder[Symbol.dispose]());

const HISTORY = `wallet_id,amount,accepted_at,id
alice,6000,2026-01-31T12:00:00Z,first
alice,4000.01,2026-01-31T12:01:59.999Z,second
bob,6000,2026-01-31T12:00:00Z,
bob,4000.01,2026-01-31T12:02:00Z,
carol,20000,2026-01-31T12:00:00Z,
dave,20000,2026-01-31T12:00:00Z,
`;
beforeAll(async () => {
  await Bun.write(join(folder.path, "history.csv"), HISTORY);
  expect(await run(options, "import", "history.csv")).toMatchObject({ code: 0 });
}, TEST_MS);

describe("flags", () => {
  test("lists who is flagged, one JSON object a line", async () => {
    const { out } = await run(options, "flags", "--json");
    const rows = out.trimEnd().split("\n");
    const lines = rows.map((line) => JSON.parse(line) as { wallet_id: string });
    expect(lines.map(({ wallet_id }) => wallet_id).sort()).toEqual(["alice", "carol", "dave"]);
    const alice = JSON.parse((await run(options, "flags", "alice", "--json")).out) as {
      readonly episodes: readonly object[];
      readonly actions: readonly object[];
    };
    const { episodes, actions, ...summary } = alice;
    expect(actions).toEqual([]);
    expect(lines.find(({ wallet_id }) => wallet_id === "alice")).toEqual<object>({
      ...summary,
      newest_episode: episodes[0],
    });
  }, TEST_MS);

  test("lists them in columns, in local time and UTC, and says what to type next", async () => {
    const inKolkata = { ...options, environment: { TZ: "Asia/Kolkata" } };
    const { out } = await run(inKolkata, "flags");
    const [head, ...rows] = out.split("\n");
    const [empty, next, end] = rows.splice(3);
    expect([head, ...rows.sort(), empty, next, end]).toEqual([
      "wallet     total  deposits  in the window up to             in UTC                    " +
        "flagged by",
      "alice   10000.01         2  2026-01-31 17:31:59.999 +05:30  2026-01-31T12:01:59.999Z  " +
        "deposit nr 2",
      "carol   20000.00         1  2026-01-31 17:30:00.000 +05:30  2026-01-31T12:00:00.000Z  " +
        "deposit nr 1",
      "dave    20000.00         1  2026-01-31 17:30:00.000 +05:30  2026-01-31T12:00:00.000Z  " +
        "deposit nr 1",
      "",
      expect.stringMatching(/^3 wallets are flagged; all of one: .+ flags (alice|carol|dave)$/),
      "",
    ]);
  }, TEST_MS);

  test("shows why: window, sum, limit, rule and every deposit, in local time and UTC", async () => {
    const inKolkata = { ...options, environment: { TZ: "Asia/Kolkata" } };
    const { out } = await run(inKolkata, "flags", "alice");
    const lines = out.split("\n").map((line) => line.replace(/(?<=deposit | \d +)\d-\d\b/, "???"));
    expect(lines).toEqual([
      "wallet   alice",
      "flagged  yes: deposit nr 2 took it over the limit",
      "",
      "episodes (1 of 1 shown)",
      "",
      "episode 1: rule deposits-over-limit, version 1, more than 10000.00 in 2m",
      "  total    10000.01 in 2 deposits, limit 10000.00",
      "  window   after 2026-01-31 17:29:59.999 +05:30, " +
        "up to and with 2026-01-31 17:31:59.999 +05:30",
      "  in UTC   after 2026-01-31T11:59:59.999Z, up to and with 2026-01-31T12:01:59.999Z",
      "  event    nr 2, deposit ???",
      "  timeline |█······································▆|  a column is 3 s, " +
        "the highest has 6000.00",
      "  deposits in the window",
      "    nr  deposit   amount  time                            " +
        "UTC                       client id",
      "     1  ???      6000.00  2026-01-31 17:30:00.000 +05:30  2026-01-31T12:00:00.000Z  first",
      "     2  ???      4000.01  2026-01-31 17:31:59.999 +05:30  2026-01-31T12:01:59.999Z  second",
      "",
    ]);
  }, TEST_MS);

  test("shows the newest ten of a long history, and all of it with --all", async () => {
    const rows = Array.from({ length: 13 }, (_, i) => `kim,20000,2026-01-31T12:00:${10 + i}Z`);
    const content = `wallet_id,amount,accepted_at\n${rows.join("\n")}\n`;
    await Bun.write(join(folder.path, "kim.csv"), content);
    expect(await run(options, "import", "kim.csv", "--data", "long")).toMatchObject({ code: 0 });
    const [some, all] = [
      (await run(options, "flags", "kim", "--data", "long")).out,
      (await run(options, "flags", "kim", "--data", "long", "--all")).out,
    ];
    expect(some).toContain("further events (10 of 12 shown; `flags` with --all shows all)\n");
    expect(all).toContain("further events (12 of 12 shown)\n");
    const totals = [...all.matchAll(/Z +(\d+)\.00 +no +- /g)].map(([, total]) => Number(total));
    expect(totals).toEqual(Array.from({ length: 12 }, (_, i) => 20_000 * (i + 2)));
  }, TEST_MS);

  test("shows a wallet that never exceeded: a spread of 120 s does not add up", async () => {
    const { out } = await run(options, "flags", "bob");
    expect(out).toBe("wallet   bob\nflagged  no: no deposit ever exceeded the limit\n");
  }, TEST_MS);

  test("prints all of it as JSON", async () => {
    const { out } = await run(options, "flags", "alice", "--json");
    const deposit = (ordinal: number, client: string, amount: string, at: string) => ({
      deposit_id: expect.stringMatching(/^\d-\d+$/),
      client_id: client,
      amount,
      accepted_at_ms: Date.parse(at),
      accepted_at: at,
      ordinal,
    });
    const newest = deposit(2, "second", "4000.01", "2026-01-31T12:01:59.999Z");
    expect(JSON.parse(out)).toEqual({
      wallet_id: "alice",
      flagged: true,
      last_action: null,
      newest_event: 2,
      covered_event: 0,
      event_count: 1,
      episodes: [
        {
          episode: 1,
          event_count: 1,
          opening: {
            rule_id: "deposits-over-limit",
            rule_version: 1,
            limit: "10000.00",
            event: 2,
            window_start_ms: Date.parse("2026-01-31T11:59:59.999Z"),
            window_start: "2026-01-31T11:59:59.999Z",
            window_end_ms: Date.parse("2026-01-31T12:01:59.999Z"),
            window_end: "2026-01-31T12:01:59.999Z",
            total: "10000.01",
            late: false,
            covered: false,
            covered_by_action: null,
            deposit: newest,
            deposit_count: 2,
            deposits: [deposit(1, "first", "6000.00", "2026-01-31T12:00:00.000Z"), newest],
          },
          newest_events: [],
        },
      ],
      actions: [],
    });
  }, TEST_MS);
});

test("check shows the balance, the flag and the last deposits", async () => {
  const rows = Array.from({ length: 7 }, (_, i) => `ivan,${i + 1}.5,2026-01-31T12:00:0${i}Z,i${i}`);
  const content = `wallet_id,amount,accepted_at,id\n${rows.join("\n")}\n`;
  await Bun.write(join(folder.path, "ivan.csv"), content);
  expect(await run(options, "import", "ivan.csv")).toMatchObject({ code: 0 });
  const inKolkata = { ...options, environment: { TZ: "Asia/Kolkata" } };
  const { out } = await run(inKolkata, "check", "ivan");
  const row = (i: number) =>
    `  ???   ${i + 1}.50  2026-01-31 17:30:0${i}.000 +05:30  2026-01-31T12:00:0${i}.000Z  i${i}`;
  expect(out.replace(/(?<=^ {2})\d-\d+ */gm, "???   ").split("\n")).toEqual([
    "wallet           ivan",
    "balance          31.50",
    "above threshold  no: no deposit ever exceeded the limit",
    "deposits         7",
    "",
    "the last 5, the newest at the end",
    "  deposit  amount  time                            UTC                       client id",
    ...[2, 3, 4, 5, 6].map(row),
    "",
  ]);
  const json = JSON.parse((await run(options, "check", "ivan", "--json")).out) as object;
  const last = (i: number) => ({
    deposit_id: expect.stringMatching(/^\d-\d+$/),
    client_id: `i${i}`,
    amount: `${i + 1}.50`,
    accepted_at_ms: Date.parse(`2026-01-31T12:00:0${i}Z`),
    accepted_at: `2026-01-31T12:00:0${i}.000Z`,
  });
  expect(json).toEqual({
    wallet_id: "ivan",
    balance: "31.50",
    deposit_count: 7,
    last_deposits: [2, 3, 4, 5, 6].map(last),
    above_threshold: false,
    position: expect.stringMatching(/^\d-\d+$/),
  });
  expect((await run(options, "check", "nobody")).out).toBe(
    "wallet           nobody\nbalance          0.00\n" +
      "above threshold  no: no deposit ever exceeded the limit\ndeposits         0\n",
  );
}, TEST_MS);

describe("flag", () => {
  test("adds by hand, --remove takes it away; both are told with actor and reason", async () => {
    const added = await run(options, "flag", "erin", "--reason", "asked for", "--by", "ann");
    const said = withoutActionLines(added);
    const spelt = 'no deposit of the wallet "erin" is known: is its id spelt so?\n';
    expect(said).toMatchObject({ code: 0, out: "erin is flagged\n", err: spelt });
    const again = withoutActionLines(await run(options, "flag", "erin", "--by", "ann"));
    expect(again).toMatchObject({ code: 0, err: "" }); // an operator has spelt it so before
    expect((await run(options, "check", "erin")).out).toContain("above threshold  yes");
    const asAnother = { ...options, environment: { USER: "mallory" } };
    const removed = await run(asAnother, "flag", "erin", "--remove");
    expect(removed.out).toBe("the flag of erin is removed\n");
    expect(removed.err).toContain("erin was flagged by an operator; there is no event to cover");
    const { out } = await run(options, "flags", "erin");
    expect(out).toMatch(/^ {2}action 1, .+: ann flagged; reason: asked for\n {2}action 2, /m);
    expect(out).toMatch(/^ {2}action 3, /m);
    const user = Bun.spawnSync(["id", "-un"]).stdout.toString().trim();
    expect(out).toContain(`: ${user} removed the flag, had seen no event; no reason given\n`);
    expect(out).toContain("flagged  no: an operator removed the flag\n");
  }, TEST_MS);

  test("--remove holds for what it prints; the next exceeding deposit flags again", async () => {
    const salary = ["--by", "ann", "--reason", "salary"];
    const removed = await run(options, "flag", "carol", "--remove", ...salary);
    expect(removed).toMatchObject({ code: 0, out: expect.stringContaining("event 1 was seen") });
    expect(removed.err).toContain("the removal covers the events of carol up to 1:");
    expect(removed.err).toContain("total    20000.00 in 1 deposit, limit 10000.00");
    expect((await run(options, "check", "carol")).out).toContain("above threshold  no");
    const small = await run(options, "deposit", "carol", "1", "--at", "2026-02-01T12:00:00Z");
    expect(small.code).toBe(0);
    expect((await run(options, "check", "carol")).out).toContain("above threshold  no");
    const large = await run(options, "deposit", "carol", "10000", "--at", "2026-02-01T12:00:01Z");
    expect(large.code).toBe(0);
    const { out } = await run(options, "flags", "carol");
    expect(out).toContain(
      "flagged  yes: 2 deposits, the newest nr 3, took it over the limit; " +
        "removals cover up to nr 1\n",
    );
    const time = String.raw`\d{4}-\d\d-\d\d \S+ \S+ \(\S+Z\)`;
    expect(out).toMatch(
      new RegExp(`^  event    nr 1, deposit \\S+\n  covered  by action 1: ann, ${time}$`, "m"),
    );
    expect(out).toMatch(
      new RegExp(`^  action 1, ${time}: ann removed the flag, had seen events up to 1; `, "m"),
    );
  }, TEST_MS);

  test("of each event says whether it came late, and which removal covers it", async () => {
    await Bun.write(
      join(folder.path, "judy.csv"),
      "wallet_id,amount,accepted_at,id\n" +
        "judy,20000,2026-01-31T12:00:10Z,a\njudy,1,2026-01-31T12:00:20Z,b\n" +
        "judy,2,2026-01-31T12:00:05Z,c\njudy,3,2026-01-31T12:00:30Z,\n",
    );
    expect(await run(options, "import", "judy.csv")).toMatchObject({ code: 0 });
    await run(options, "flag", "judy", "--remove", "--seen", "2", "--by", "ann");
    await run(options, "flag", "judy", "--remove", "--seen", "3", "--by", "ben");
    const { out } = await run(options, "flags", "judy");
    const [, events = ""] = out.split("further events (3 of 3 shown)\n");
    const rows = events.split("\n").slice(0, 4);
    expect(rows.map((row) => row.replace(/^.*(?=total)|^.*Z  /, ""))).toEqual([
      "total  late  covered by     client id",
      "20001.00  no    action 1: ann  b",
      "20002.00  yes   action 2: ben  c",
      expect.stringMatching(/^20006\.00  no    -              [0-9a-f]{64}:4$/),
    ]);
    const json = JSON.parse((await run(options, "flags", "judy", "--json")).out) as {
      episodes: { opening: object; newest_events: { covered_by_action: number | null }[] }[];
      actions: { action: number }[];
    };
    expect(json.actions.map(({ action }) => action)).toEqual([1, 2]);
    expect(json.episodes[0]?.opening).toMatchObject({ covered: true, covered_by_action: 1 });
    const covering = json.episodes[0]?.newest_events.map((event) => event.covered_by_action);
    expect(covering).toEqual([1, 2, null]);
  }, TEST_MS);

  test("--remove --seen an older event leaves the flag, says so, and ends with 1", async () => {
    const newer = await run(options, "deposit", "dave", "1", "--at", "2026-01-31T12:00:01Z");
    expect(newer.code).toBe(0);
    const removed = await run(options, "flag", "dave", "--remove", "--seen", "1", "--json");
    expect(removed.code).toBe(1);
    expect(removed.err).toContain("dave stays flagged: event 2 is newer than what the removal");
    expect(JSON.parse(removed.out)).toMatchObject({ flagged: true, seen_event: 1 });
    const again = await run(options, "flag", "dave", "--remove", "--json");
    expect(again.code).toBe(0);
    expect(JSON.parse(again.out)).toMatchObject({ flagged: false, seen_event: 2 });
  }, TEST_MS);

  test("on a terminal a missing reason is asked for; Enter leaves it empty", async () => {
    for (const [wallet, typed, kept] of [
      ["frank", "wrong wallet", "reason: wrong wallet"],
      ["grace", "", "no reason given"],
    ] as const) {
      expect(await run(options, "flag", wallet, "--reason", "x")).toMatchObject({ code: 0 });
      let screen = "";
      const child = Bun.spawn([...PROGRAM, "flag", wallet, "--remove", "--by", "ann"], {
        cwd: folder.path,
        env: { PATH: process.env["PATH"], TERM: "dumb" },
        terminal: { cols: 200, data: (_, bytes) => (screen += Buffer.from(bytes).toString()) },
      });
      await until(() => screen.includes("reason (Enter leaves it empty): "), () => screen);
      expect(screen).toContain("there is no event to cover");
      child.terminal?.write(`${typed}\r`);
      expect({ code: await child.exited, screen }).toMatchObject({ code: 0 });
      const { out } = await run(options, "flags", wallet);
      expect(out).toContain(`ann removed the flag, had seen no event; ${kept}\n`);
    }
  }, TEST_MS);
});

test("Ctrl-C where the reason is asked for writes nothing, and ends with 1", async () => {
  expect(await run(options, "flag", "heidi", "--reason", "x")).toMatchObject({ code: 0 });
  let screen = "";
  const child = Bun.spawn([...PROGRAM, "flag", "heidi", "--remove"], {
    cwd: folder.path,
    env: { PATH: process.env["PATH"], TERM: "dumb" },
    terminal: { cols: 200, data: (_, bytes) => (screen += Buffer.from(bytes).toString()) },
  });
  await until(() => screen.includes("reason (Enter leaves it empty): "), () => screen);
  child.terminal?.write("\x03");
  expect({ code: await child.exited, screen }).toMatchObject({ code: 1 });
  expect(screen).toContain("error: interrupted: nothing was written");
  expect((await run(options, "check", "heidi")).out).toContain("above threshold  yes");
}, TEST_MS);

test("beside a running service a command leaves the work to it, and waits", async () => {
  using other = temporaryFolder();
  const beside = { folder: other.path };
  await using up = new Running(beside, "up", "--port", "0");
  const url = await up.serves();
  await post(url, '{"wallet_id": "alice", "amount": 10000}');
  expect(await run(beside, "deposit", "alice", "0.01")).toMatchObject({ code: 0, err: "" });
  const answer = await fetch(`${url}/check/alice`);
  expect(await answer.json()).toMatchObject({ balance: 10000.01, above_threshold: true });
  expect(await run(beside, "flag", "alice", "--remove")).toMatchObject({ code: 0 });
  const cleared = await fetch(`${url}/check/alice`);
  expect(await cleared.json()).toMatchObject({ above_threshold: false });
  const conflict = ["deposit", "alice", "1", "--id", "one"];
  expect(await run(beside, ...conflict)).toMatchObject({ code: 0 });
  const refused = await run(beside, "deposit", "alice", "2", "--id", "one");
  expect(refused).toMatchObject({ code: 1, out: "" });
  expect(refused.err).toContain('the id "one" was used for');
  // A service that hangs does not stop the shell: what it had is taken over.
  up.signal("SIGSTOP");
  const taken = await run(beside, "deposit", "alice", "5");
  expect(taken).toMatchObject({ code: 0 });
  expect(taken.err).toContain("processing: ");
  up.signal("SIGCONT");
  expect((await up.stop()).code).toBe(0);
}, TEST_MS);
