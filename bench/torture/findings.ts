/**
 * What tables and services say at the end of a torture run.
 *
 *   stores (views) ──> wallets      GET /check of every server ──> wallets
 */

import type { App } from "../../src/app.ts";
import { balanceRow } from "../../src/collector/balance-row.ts";
import { episodeOpeningRow, flagRow, isFlagged } from "../../src/flagger/flag-rows.ts";
import type { StreamPosition } from "../../src/stream/settling.ts";
import type { FoundWallet } from "./judgement.ts";
import type { Seen } from "./wallet-record.ts";

const STREAMS = ["deposit", "flag_wallet"];

/** Waits until everything in the log is done. Null, or what is waited for in vain. */
export async function settleEverything(app: App, withinMs: number): Promise<string | null> {
  const positions: StreamPosition[] = [];
  for (const topic of STREAMS) {
    for (let partition = 0; partition < app.partitions; partition += 1) {
      const { end } = await app.log.bounds(topic, partition);
      if (end > 0n) positions.push({ topic, partition, offset: end - 1n });
    }
  }
  const pending = await app.settled(positions, AbortSignal.timeout(withinMs));
  if (pending === null) return null;
  const { group, topic, partition, offset } = pending;
  return `${group} did not pass ${topic} ${partition}-${offset} within ${withinMs} ms`;
}

/** As the tables have it. */
export function walletInTables({ views }: App, wallet: string): FoundWallet {
  const balance = views.balance.get(wallet, balanceRow);
  const flag = views.flagger.get(wallet, flagRow);
  const openings = views.flagger.read(wallet, (rows) => rows.range(episodeOpeningRow));
  return {
    totalMinor: balance?.totalMinor ?? 0n,
    count: balance?.count ?? 0,
    isFlagged: isFlagged(flag),
    eventCount: flag?.eventCount ?? 0,
    episodes: openings.filter(({ value }) => (value.opening?.deposits.length ?? 0) > 0).length,
  };
}

/** As a service answers. */
export async function walletFromService(port: number, wallet: string): Promise<Seen> {
  const response = await fetch(`http://127.0.0.1:${port}/check/${wallet}`);
  return seenIn(await response.text());
}

/** In the body of an answer to GET /check. */
export function seenIn(text: string): Seen {
  const { above_threshold } = JSON.parse(text) as { above_threshold: boolean };
  const [, whole = "0", decimals = ""] = /"balance":(\d+)(?:\.(\d+))?/.exec(text) ?? [];
  return { totalMinor: BigInt(whole + decimals.padEnd(2, "0")), isFlagged: above_threshold };
}
