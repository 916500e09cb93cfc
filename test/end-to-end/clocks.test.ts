/**
 * Services whose clocks differ and step: the verdict goes by event time, and the event time is that
 * of the clock of the service that accepted the deposit.
 */

import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { SHIFTED_CLOCK } from "../../bench/children.ts";
import { PROJECT_ROOT, Running, run, temporaryFolder } from "./program.ts";

const TEST_MS = 60_000;
const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const YEAR_MS = 365 * 24 * 60 * MINUTE_MS;

test("verdicts go by the clocks of services, 30 s apart, set back and a year ahead", async () => {
  using folder = temporaryFolder();
  const right = new Clock(folder.path, "right");
  const other = new Clock(folder.path, "other");
  await using first = right.start("serve", "--port", "0");
  const rightUrl = await first.serves();
  await using second = other.start("serve", "--port", "0");
  const otherUrl = await second.serves();
  // Whoever processes has yet another clock, and no verdict depends on it.
  const processing = new Clock(folder.path, "processing", -YEAR_MS);
  await using _process = processing.start("process", "--all");
  const isFlagged = async (wallet: string, position: string) => {
    const answer = await fetch(`${rightUrl}/check/${wallet}?after=${position}`);
    return ((await answer.json()) as { above_threshold: boolean }).above_threshold;
  };
  const deposit = async (url: string, wallet: string) => {
    const body = `{"wallet_id": "${wallet}", "amount": 6000}`;
    const answer = await fetch(`${url}/deposit`, { method: "POST", body });
    const { position } = (await answer.json()) as { position: string };
    return isFlagged(wallet, position);
  };

  other.set(30 * SECOND_MS);
  expect(await deposit(rightUrl, "apart")).toBe(false);
  expect(await deposit(otherUrl, "apart")).toBe(true);

  other.set(3 * MINUTE_MS);
  expect(await deposit(rightUrl, "beyond")).toBe(false);
  expect(await deposit(otherUrl, "beyond")).toBe(false); // no window holds both
  expect(await deposit(rightUrl, "beyond")).toBe(true);

  other.set(-10 * MINUTE_MS);
  expect(await deposit(rightUrl, "back")).toBe(false);
  expect(await deposit(otherUrl, "back")).toBe(false);
  other.set(0);
  expect(await deposit(otherUrl, "back")).toBe(true);

  other.set(YEAR_MS);
  expect(await deposit(otherUrl, "ahead")).toBe(false);
  expect(await deposit(rightUrl, "ahead")).toBe(false);
  expect(await deposit(rightUrl, "ahead")).toBe(true); // late, beside one of next year
  expect(await deposit(otherUrl, "ahead")).toBe(true);

  const here = { folder: folder.path };
  const told = await run(here, "flags", "ahead", "--json");
  const { episodes } = JSON.parse(told.out) as Evidence;
  const aheadMs = episodes.map(({ opening }) => opening.window_end_ms - Date.now());
  const aheadYears = aheadMs.map((ms) => Math.abs(Math.round(ms / YEAR_MS)));
  expect(aheadYears).toEqual([0, 1]);
  const letters = await run(here, "dead-letters", "list");
  expect(letters.out).toContain("there are no dead letters");

  // The door's five minutes go by the clock of whoever stands there.
  const at = new Date(Date.now() + 10 * MINUTE_MS).toISOString();
  const late = ["deposit", "door", "1", "--at", at];
  const refused = await run(here, ...late);
  expect(refused).toMatchObject({ code: 2, out: "" });
  expect(refused.err).toContain("is more than 5 minutes ahead of the time");
  other.set(10 * MINUTE_MS);
  await using taken = other.start(...late);
  expect(await taken.ended()).toMatchObject({ code: 0 });
}, TEST_MS);

interface Evidence {
  readonly episodes: { readonly opening: { readonly window_end_ms: number } }[];
}

/** How far ahead a program's clock is; steps at once. */
class Clock {
  private readonly file: string;

  constructor(
    private readonly folder: string,
    name: string,
    aheadMs = 0,
  ) {
    this.file = join(folder, `clock-${name}`);
    this.set(aheadMs);
  }

  set(aheadMs: number): void {
    writeFileSync(this.file, String(aheadMs));
  }

  start(...args: string[]): Running {
    const { folder, file } = this;
    const main = join(PROJECT_ROOT, "src/main.ts");
    const program = [process.execPath, "--no-env-file", "--preload", SHIFTED_CLOCK, main];
    const environment = { CLOCK_AHEAD_MS_FILE: file };
    return new Running({ folder, program, environment }, ...args);
  }
}
