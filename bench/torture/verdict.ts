/**
 * The verdict on a run: every account checked in the log, in the services' answers, in the tables
 * and in tables that are built anew.
 *
 *   log ──oracle──> what must be ──against──> answers, tables, new tables ──> faults
 */

import { type App, PROCESSOR_NAMES, type ProcessorName } from "../../src/app.ts";
import { type DepositLog, readDepositLog } from "./deposit-log.ts";
import { settleEverything, walletFromService, walletInTables } from "./findings.ts";
import { type ExpectedWallet, expectedWallets, judgeLog, judgeWallet } from "./judgement.ts";
import type { Site } from "./site.ts";
import { judgeByVerify } from "./verified.ts";
import type { Witness } from "./witness.ts";

const SETTLES_WITHIN_MS = 60_000;
/** A server's copies are in step with the group by then. */
const COPIES_WITHIN_MS = 10_000;
const POLL_MS = 100;

export interface JudgedRun {
  readonly site: Site;
  readonly witness: Witness;
  /** Of servers that are to be asked, too. */
  readonly ports: readonly number[];
  /** Ends the run's processes, once they have been asked. */
  stop(): Promise<void>;
}

export interface Verdict {
  /** One sentence each. */
  readonly faults: readonly string[];
  readonly summary: string;
  /** What stood in the log in the end. */
  readonly log: DepositLog;
}

export async function judgeRun({ site, witness, ports, stop }: JudgedRun): Promise<Verdict> {
  const faults: string[] = [];
  const app = await site.open();
  const unsettled = await settleEverything(app, SETTLES_WITHIN_MS);
  if (unsettled !== null) faults.push(unsettled);
  const log = await readDepositLog(app.log, app.partitions);
  const expected = expectedWallets(log);
  for (const port of ports) {
    faults.push(...(await judgeService(port, expected, site.hasCopies ? COPIES_WITHIN_MS : 0)));
  }
  faults.push(...judgeTables(app, expected, "the tables"));
  faults.push(...(await judgeByVerify(site, "beside what runs")));
  await stop();
  await app.close();
  faults.push(...judgeLog(log, witness));
  faults.push(...(await judgeNewTables(site, expected)));
  faults.push(...(await judgeByVerify(site, "in the end")));

  const flagged = expected.filter(({ isFlagged }) => isFlagged).length;
  const events = expected.reduce((sum, { exceeding }) => sum + exceeding.length, 0);
  const summary =
    `${log.byPosition.size} records: ${log.repeats} repeats and ${log.conflicts} conflicts not ` +
    `counted; ${expected.length} wallets, ${flagged} flagged, ${events} events`;
  return { faults, summary, log };
}

/** Whether an app's views say what must be. */
export function judgeTables(
  app: App,
  expected: readonly ExpectedWallet[],
  where: string,
): string[] {
  return expected.flatMap((each) => judgeWallet(each, walletInTables(app, each.wallet), where));
}

async function judgeService(
  port: number,
  expected: readonly ExpectedWallet[],
  withinMs: number,
): Promise<string[]> {
  const endMs = performance.now() + withinMs;
  for (;;) {
    const faults: string[] = [];
    for (const each of expected) {
      const found = await walletFromService(port, each.wallet);
      faults.push(...judgeWallet(each, found, `the answer of port ${port}`));
    }
    if (faults.length === 0 || performance.now() > endMs) return faults;
    await Bun.sleep(POLL_MS);
  }
}

async function judgeNewTables(site: Site, expected: readonly ExpectedWallet[]): Promise<string[]> {
  const app = await site.openWithoutTables();
  const processors = app.startProcessors(Object.keys(PROCESSOR_NAMES) as ProcessorName[]);
  const unbuilt = await settleEverything(app, SETTLES_WITHIN_MS);
  const faults = judgeTables(app, expected, "the rebuilt tables");
  for (const processor of processors) await processor.stop();
  await app.close();
  return unbuilt === null ? faults : [`rebuilding: ${unbuilt}`, ...faults];
}
