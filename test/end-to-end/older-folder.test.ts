/**
 * A data folder as an older program left it: its log of format 1, its stores of a format that this
 * program does not know.
 */

import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { run, Running, temporaryFolder, until } from "./program.ts";
import { post } from "./session.ts";

interface Answer {
  readonly balance: number;
  readonly above_threshold: boolean;
}

const WALLETS: readonly (readonly [string, number, boolean])[] = [
  ["alice", 12000, false], // was flagged, until an operator removed it
  ["bob", 12.5, false], // 13 was sent with the same key, and is not counted
  ["carol", 10001, true],
  ["dave", 10050, true], // imported
  ["erin", 0, true], // flagged by an operator
];

const TEST_MS = 60_000;

test("an older program's folder is taken over: same answers and evidence, new tables", async () => {
  using folder = temporaryFolder();
  const archive = join(import.meta.dir, "older-folder.tar.gz");
  expect(spawnSync("tar", ["-xzf", archive, "-C", folder.path]).status).toBe(0);
  const program = { folder: folder.path };
  const data = ["--data", "older-folder"];
  await using up = new Running(program, "up", ...data, "--port", "0");
  const url = await up.serves();

  // Each partition is there when it has been built anew.
  let found: unknown = null;
  const isThere = async ([wallet, balance, isAbove]: (typeof WALLETS)[number]) => {
    const answer = (await (await fetch(`${url}/check/${wallet}`)).json()) as Answer;
    found = answer;
    return answer.balance === balance && answer.above_threshold === isAbove;
  };
  for (const wallet of WALLETS) {
    await until(() => isThere(wallet), () => JSON.stringify({ wallet, found }));
  }
  const repeat = await fetch(`${url}/deposit`, {
    method: "POST",
    headers: { "idempotency-key": "order-1" },
    body: '{"wallet_id":"bob","amount":12.50}',
  });
  expect(await repeat.json()).toMatchObject({ position: "0-2" });
  const evidence = await run(program, "flags", "alice", ...data, "--json");
  expect(JSON.parse(evidence.out)).toMatchObject({
    episodes: [{ opening: { total: "12000.00", covered: true, deposit_count: 2 } }],
    actions: [{ kind: "remove", actor: "root", reason: "salary", seen_event: 2 }],
  });
  const verdict = await run(program, "verify", ...data);
  expect(verdict).toMatchObject({ code: 0, out: expect.stringMatching(/^deposits +8$/m) });
  expect(up.err.match(/ has format 1: [^"]*: this is done now/g)).toHaveLength(3 * 3);

  // What it does not know makes the log one of the newer format; the older program has a copy.
  const kept = join("older-folder", "log.format-1.db");
  expect(existsSync(join(folder.path, kept))).toBe(false);
  const set = await run(program, "rules", "set", "--limit", "9000", "--reason", "case 17", ...data);
  expect(set).toMatchObject({ code: 0, out: "version 2 is in force: more than 9000.00 in 2m\n" });
  expect(set.err.match(/older programs refuse; as it was, with \d+ records/g)).toHaveLength(1);
  const log = new Database(join(folder.path, kept), { readonly: true });
  expect(log.query("PRAGMA user_version").get()).toEqual({ user_version: 1 });
  log.close();
  expect(await run(program, "restore", kept, "--data", "back")).toMatchObject({ code: 0 });
  expect((await run(program, "rules", "--data", "back")).out).not.toContain("case 17");
  expect(await run(program, "verify", ...data)).toMatchObject({ code: 0 });
  await post(url, '{"wallet_id":"frank","amount":9000.50}');
  await until(
    () => isThere(["frank", 9000.5, true]),
    () => JSON.stringify(found),
  );
}, TEST_MS);
