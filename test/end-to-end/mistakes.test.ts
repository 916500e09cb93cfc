import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run, temporaryFolder } from "./program.ts";

const TEST_MS = 60_000;
const folder = temporaryFolder();
const options = { folder: folder.path };
afterAll(() => folder[Symbol.dispose]());
beforeAll(async () => {
  writeFileSync(join(folder.path, "a.csv"), "wallet_id,amount,accepted_at\nalice,20000,1000\n");
  writeFileSync(join(folder.path, "bad.csv"), "wallet_id,amount,accepted_at\nalice,0,1000\n");
  writeFileSync(join(folder.path, "empty.csv"), "");
  writeFileSync(join(folder.path, "b.csv"), "");
  expect(await run(options, "import", "a.csv")).toMatchObject({ code: 0 });
}, TEST_MS);

/** What was typed, the exit code, and what the message must say. */
type Mistake = readonly [args: readonly string[], code: 1 | 2, message: string | RegExp];

/** Nothing listens there; only what ends before it is reached names it. */
const NO_BROKER = "127.0.0.1:1";
const ELSEWHERE = ["--data", "elsewhere"];
const NO_DATA = /there is no data in \S+elsewhere: name its folder with --data/;
const TOO_LONG = "x".repeat(1_001);

const SERVICE: readonly Mistake[] = [
  [["--port", "80800"], 2, '--port is "80800": it must be a number from 0 (any free port) to'],
  [["--host", "0.0.0.0"], 2, "--host 0.0.0.0 lets other machines in: name what they call this one"],
  [["--host", "0.0.0.0"], 2, /--allow-host NAME.*; and asks nobody.*--keys.*; and their .*-cert/],
  [["--prot", "9000"], 2, "(Did you mean --port?)"],
  [["--keys", "no-keys"], 1, /the key file \S+no-keys cannot be read: it is not there/],
  [["--keys", "a.csv"], 1, "is open to others: chmod 600"],
  [["--rate-limit", "5"], 2, "--rate-limit counts the requests of each key"],
  [["--https-cert", "a.csv"], 2, "--https-cert is half of what HTTPS needs: name the"],
  [["--cors-origin", "*"], 2, '--cors-origin is "*": it must be origins such as'],
  [["--partitions", "4"], 1, "was created with partitions 8, not 4: leave the setting out"],
  [["--data", "a.csv"], 1, "a.csv cannot be used for a log (it is a file): name a folder with"],
  [["--config", "no.env"], 2, "no.env cannot be read: it is not there\n"],
  [["--log-level", "loud"], 2, "it must be debug, info, warning or error"],
];

const MISTAKES: Readonly<Record<string, readonly Mistake[]>> = {
  up: [
    ...SERVICE,
    [["--brokers", "kafka;9092"], 2, "it must be host:port,... such as"],
    [["--prefix", "a"], 2, "--prefix is for a Kafka cluster: name its brokers with --brokers"],
    [["--sasl-password=x"], 2, "a password is no flag, for every user of the machine sees"],
  ],
  serve: [...SERVICE, [["alice"], 2, "too many arguments"]],
  process: [
    [[], 2, "say which processors: collector (balance), detector (threshold), flagger, or --all"],
    [["colector"], 2, "there is no processor colector: name collector (balance), detector"],
    [["--all", "flagger"], 2, "name processors or say --all, not both"],
    [["--all", "--health", "web"], 2, '--health is "web": it must be a port'],
    [["--all", "--decimals", "3"], 1, "was created with decimals 2, not 3"],
  ],
  deposit: [
    [["alice"], 2, "missing required argument 'amount'"],
    [["alice", "12.345"], 2, "amount has 3 decimals; at most 2 are allowed"],
    [["alice", "-5"], 2, "amount must be more than 0"],
    [["alice", "5", "--at", "yesterday"], 2, '"yesterday" must be a time like 2026-01-31T12:00'],
    [["alice", "5", ...ELSEWHERE], 1, NO_DATA],
    [["", "5"], 2, "wallet_id must not be empty"],
    [["100", "alice"], 2, '"alice" is no amount: the wallet comes first, `deposit alice 100`'],
    [["alice", "10,000"], 2, 'the amount is "10,000": leave the comma out, 10000'],
    [["alice", "5", "--id", ""], 2, "id must not be empty"],
    [["alice", "5", "--at", "2099-01-01T00:00:00Z"], 2, "more than 5 minutes ahead"],
  ],
  check: [
    [[], 2, "missing required argument 'wallet'"],
    [["alice", "bob"], 2, "too many arguments"],
    [["alice", ...ELSEWHERE], 1, NO_DATA],
    [["alice", "--dta", "x"], 2, "(Did you mean --data?)"],
    [["alice\n"], 2, "wallet_id must not have control characters"],
    [["alice", "--data", "a.csv"], 1, "a.csv cannot be used for a log (it is a file)"],
  ],
  flag: [
    [[], 2, "missing required argument 'wallet'"],
    [["bob", "--remove"], 1, "bob is not flagged: there is nothing to remove"],
    [["alice", "--seen", "1"], 2, "--seen goes with --remove"],
    [["alice", "--remove", "--seen", "first"], 2, "it must be an event's number"],
    [["alice", "--remove", "--seen", "2"], 1, "--seen 2 is beyond the newest event of alice"],
    [["alice", "--remove", "--seen", "0"], 1, "event 1 is newer than what the removal covers, no"],
    [["alice", "--reason", TOO_LONG], 2, "reason has 1001 UTF-8 bytes; at most 1000 are allowed"],
    [["alice", "--by", ""], 2, "actor must not be empty"],
  ],
  flags: [
    [["alice", "bob"], 2, "too many arguments"],
    [ELSEWHERE, 1, NO_DATA],
    [["a".repeat(129)], 2, "wallet_id has 129 UTF-8 bytes; at most 128 are allowed"],
    [["--jsn"], 2, "(Did you mean --json?)"],
    [["--config", "nowhere.env"], 2, "nowhere.env cannot be read"],
  ],
  import: [
    [[], 2, "missing required argument 'file'"],
    [["nowhere.csv"], 1, "nowhere.csv is not there: name a file, or - for a pipe"],
    [["empty.csv"], 1, "empty.csv is empty: nothing to import"],
    [["a.csv", "b.csv"], 2, "too many arguments"],
    [["a.csv", "--partitions", "4"], 1, "was created with partitions 8, not 4"],
    [["a.csv", "--skip-bad", ""], 2, '--skip-bad is "": it must be the path of a file'],
    [["bad.csv", "--skip-bad", "no/b"], 1, "cannot be written to no/b: its folder is not there"],
  ],
  sample: [
    [["alice"], 2, "too many arguments"],
    [["--deposits", "0"], 2, '--deposits is "0": it must be a whole number from 1 to 1000000000'],
    [["--wallets", "1e3"], 2, '--wallets is "1e3": it must be a whole number from 1 to 1000000'],
    [["--seed", "-1"], 2, '--seed is "-1": it must be a whole number from 0'],
    [["--answers", ""], 2, '--answers is "": it must be the path of a file'],
    [["--answers", "no/a"], 1, "the answers cannot be written to no/a: its folder is not there"],
    [["--deposit", "5"], 2, "(Did you mean --deposits?)"],
  ],
  verify: [
    [["alice"], 2, "too many arguments"],
    [ELSEWHERE, 1, NO_DATA],
    [["--differences", "all"], 2, '--differences is "all": it must be a number from 0 to 9999999'],
    [["--difference", "5"], 2, "(Did you mean --differences?)"],
    [["--data", "a.csv"], 1, "a.csv cannot be used for a log (it is a file)"],
  ],
  backup: [
    [[], 2, "missing required argument 'file'"],
    [["a.csv"], 1, "a.csv is there already: name another file"],
    [["no/a.backup"], 1, /there is no folder \S+no: make it first/],
    [["new.backup", ...ELSEWHERE], 1, NO_DATA],
    [["new.backup", "--brokers", NO_BROKER], 2, "this is for a data folder, and the settings name"],
    [["new.backup", "--data", "a.csv"], 1, "a.csv cannot be used for a log"],
  ],
  restore: [
    [[], 2, "missing required argument 'file'"],
    [["no.backup", ...ELSEWHERE], 1, /there is no backup \S+no\.backup/],
    [[".", ...ELSEWHERE], 1, "is no file: name a backup"],
    [["a.csv", ...ELSEWHERE], 1, /a\.csv is damaged or no log \(.*\): use another backup/],
    [["a.csv", "--brokers", NO_BROKER], 2, "restore into a data folder; `migrate` takes that to"],
    [["a.csv", "--data", "b.csv/x"], 1, "b.csv/x cannot be used for a log"],
  ],
  keys: [
    [[], 2, "Create, list and revoke the keys of the API."],
    [["crate"], 2, "(Did you mean create?)"],
    [["create", "a", "--keys", "k"], 2, "required option '--scope <scope>' not specified"],
    [["create", "a", "--scope", "client"], 2, "name the key file with --keys"],
    [["create", "a", "--scope", "all", "--keys", "k"], 2, 'the scope "all" is none: say client'],
    [["create", "a/b", "--scope", "client", "--keys", "k"], 2, 'the name "a/b" is refused'],
    [["create", "a", "--scope", "client", "--keys", "no/k"], 1, /no folder \S+no: make it first/],
    [["create", "a", "--scope", "client", "--keys", "k", "--entry"], 2, "--entry writes no file"],
    [["revoke", "a", "--keys", "k"], 1, /the key file \S+k cannot be read: it is not there/],
  ],
  topics: [
    [["snyc"], 2, "error: topics knows sync, not snyc; did you mean `topics sync`?"],
    [["sync"], 2, "sync is for a Kafka cluster: name it with --brokers"],
    [["--delete-unknown"], 2, "--delete-unknown goes with sync"],
    [["sync", "--brokers", NO_BROKER, "--delete-unknown"], 2, "--delete-unknown needs a --prefix"],
    [["--prefix", "live-"], 2, "--prefix is for a Kafka cluster: name its brokers"],
    [ELSEWHERE, 1, NO_DATA],
  ],
  rules: [
    [["sett"], 2, "rules knows no sett; did you mean `rules set`?"],
    [["add"], 2, "rules knows no add; known are list, set"],
    [["set"], 2, "say what the rule is to be: --window, --limit or both"],
    [["set", "--window", "400d", "--reason", "a"], 2, '--window is "400d": a window of'],
    [["set", "--limit", "0", "--reason", "a"], 2, '--limit is "0": '],
  ],
  status: [
    [["--watch", "5"], 2, "--watch takes no value: leave 5 out"],
    [["alice"], 2, "too many arguments"],
    [["--jsn"], 2, "(Did you mean --json?)"],
    [ELSEWHERE, 1, NO_DATA],
    [["--data", "a.csv"], 1, "a.csv cannot be used for a log (it is a file)"],
  ],
  migrate: [
    [[], 2, "required option '--from <folder>' not specified"],
    [["--from", "elsewhere"], 2, "name the brokers of the cluster to move to with --to-brokers"],
    [["--from", "elsewhere", "--to-brokers", NO_BROKER], 1, /no data in \S+elsewhere: name its/],
    [["--from", "a", "--to-brokers", "b", "--brokers", "c"], 2, "name two clusters: leave"],
    [["--from", "a", "--to-brokers", "b:port"], 2, "it must be host:port,... such as"],
  ],
};

describe("wrong usage is told what to do, with exit code 1 or 2", () => {
  for (const [command, mistakes] of Object.entries(MISTAKES)) {
    test(command, async () => {
      expect(mistakes.length).toBeGreaterThanOrEqual(5);
      for (const [args, code, message] of mistakes) {
        const outcome = await run(options, command, ...args);
        expect({ args, code: outcome.code }).toEqual({ args, code });
        expect(outcome.out).toBe("");
        if (typeof message === "string") expect(outcome.err).toContain(message);
        else expect(outcome.err).toMatch(message);
        // Words for the user, no stack for whoever wrote the program.
        expect(outcome.err).not.toMatch(/^ +at /m);
      }
      expect(existsSync(join(folder.path, "elsewhere"))).toBe(false);
    }, TEST_MS);
  }

  test("a wallet that nothing is known of is noted, and is no fault", async () => {
    for (const command of ["check", "flags"]) {
      const unknown = await run(options, command, "alise");
      expect(unknown.code).toBe(0);
      expect(unknown.err).toBe('nothing is known of the wallet "alise": is its id spelt so?\n');
      expect((await run(options, command, "alice")).err).toBe("");
    }
    const [alone, list] = [await run(options, "rules"), await run(options, "rules", "list")];
    expect(list).toEqual(alone);
    const json = await run(options, "rules", "list", "--json");
    expect(JSON.parse(json.out)).toMatchObject({ versions: [{ version: 1 }] });
  }, TEST_MS);

  test("no command, an unknown one, and help", async () => {
    expect(await run(options)).toMatchObject({ code: 2, out: "" });
    const unknown = await run(options, "chek");
    expect(unknown).toMatchObject({ code: 2, err: expect.stringContaining("Did you mean check?") });
    const far = await run(options, "weather");
    expect(far).toMatchObject({ code: 2, out: "" });
    expect(far.err).toMatch(/^error: unknown command 'weather'\n.+ --help lists the commands\n$/);
    const unknownHelp = await run(options, "help", "chek");
    expect(unknownHelp).toMatchObject({ code: 2, out: "", err: unknown.err });
    for (const command of Object.keys(MISTAKES)) {
      const help = await run(options, command, "--help");
      expect(help).toMatchObject({ code: 0, err: "" });
      expect(help.out).toMatch(new RegExp(`Example:\\n  .*${command}`));
    }
    const words = async (...args: string[]) =>
      (await run(options, ...args)).out.split(/\s+/).join(" ");
    expect(await words("check", "--help")).toContain("with --brokers only local copies lie there");
    const migration = await words("migrate", "--help");
    expect(migration).toContain("--to-brokers <list>");
    expect(migration).not.toContain(" --brokers <list>");
    expect(migration).toContain("Stop what runs on the folder first");
    expect((await run(options, "--version")).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  }, TEST_MS);
});

describe("a folder that cannot be used is named, and why", () => {
  test("a log of another version, and a database of another program", async () => {
    const newer = join(folder.path, "newer");
    expect(await run(options, "import", "a.csv", "--data", newer)).toMatchObject({ code: 0 });
    const log = new Database(join(newer, "log.db"));
    log.exec("PRAGMA user_version = 99");
    log.close();
    const refused = await run(options, "check", "alice", "--data", newer);
    expect(refused).toMatchObject({ code: 1, out: "" });
    expect(refused.err).toContain(`the log in ${newer} has format 99, this program reads`);

    const foreign = join(folder.path, "foreign");
    mkdirSync(foreign);
    const database = new Database(join(foreign, "log.db"));
    database.exec("CREATE TABLE a (b)");
    database.close();
    const other = await run(options, "serve", "--data", foreign, "--port", "0");
    expect(other).toMatchObject({ code: 1, out: "" });
    expect(other.err).toContain("is a database of another program: choose another folder");
  }, TEST_MS);

  test("a file in the folder that cannot be opened is named, without a stack", async () => {
    const spoilt = join(folder.path, "spoilt");
    expect(await run(options, "import", "a.csv", "--data", spoilt)).toMatchObject({ code: 0 });
    rmSync(join(spoilt, "bell"), { force: true });
    mkdirSync(join(spoilt, "bell"));
    const refused = await run(options, "check", "alice", "--data", spoilt);
    expect(refused).toMatchObject({ code: 1, out: "" });
    const named = /^error: \S+spoilt cannot be used for a log \(EISDIR: .+bell'\)\n$/;
    expect(refused.err).toMatch(named);
  }, TEST_MS);

  // Skipped: root may look anywhere
  test.skipIf(process.getuid?.() === 0)("a folder that nobody else may look into", async () => {
    const secret = join(folder.path, "secret");
    mkdirSync(secret);
    chmodSync(secret, 0o000);
    const refused = await run(options, "check", "alice", "--data", secret);
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.err).toContain("cannot be used for a log (permission denied)");
  }, TEST_MS);

  // Skipped: root may write anywhere, so that a folder without permission cannot be had
  test.skipIf(process.getuid?.() === 0)("a read-only folder", async () => {
    const closed = join(folder.path, "closed");
    mkdirSync(closed);
    chmodSync(closed, 0o500);
    const refused = await run(options, "up", "--port", "0", "--data", closed);
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.err).toContain("choose a folder that can be written");
  }, TEST_MS);

  test("a place where no folder can be made", async () => {
    const refused = await run(options, "up", "--port", "0", "--data", "/proc/depositaja");
    expect(refused).toMatchObject({ code: 1, out: "" });
    expect(refused.err).toContain("choose a folder that can be written");
  }, TEST_MS);
});
