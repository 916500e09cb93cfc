/**
 * A sample as the CSV that `import` takes, in the order in which its rows were written down.
 *
 *   histories of all wallets ──minute by minute──> rows by time ──> text
 *
 * A wallet waits in the minute of its next rows, and a late row in the minute in which it is
 * written down, so that a row costs the same however many there are, and what is held is a few
 * numbers for each wallet and the late rows of some hours.
 */

import { formatDecimal } from "../../money.ts";
import { SAMPLE_END_MS, SAMPLE_START_MS } from "./daily-rhythm.ts";
import {
  castOf,
  depositIdOf,
  rowsOfWallets,
  SAMPLE_DECIMALS,
  type SamplePlan,
  walletId,
} from "./sample-plan.ts";
import { type SampleRow, WalletHistory, walletParts } from "./wallet-history.ts";

const MINUTE_MS = 60_000;
const MINUTES = (SAMPLE_END_MS - SAMPLE_START_MS) / MINUTE_MS;
/** Characters in one piece of text: few writes, little held. */
const PIECE_CHARACTERS = 65_536;

/** Pieces of whole lines, each with its line feed; the header first. */
export function* sampleText(plan: SamplePlan): Generator<string> {
  let text = "wallet_id,amount,accepted_at,id\n";
  for (const rows of sampleRows(plan)) {
    for (const row of rows) {
      const amount = formatDecimal(BigInt(row.amountMinor), SAMPLE_DECIMALS);
      const time = new Date(row.acceptedAtMs).toISOString();
      text += `${walletId(row.wallet, plan)},${amount},${time},${depositIdOf(row.number)}\n`;
    }
    if (text.length < PIECE_CHARACTERS) continue;
    yield text;
    text = "";
  }
  if (text !== "") yield text;
}

/** All rows in the order of the file; those of one time as they came about. */
export function* sampleRows(plan: SamplePlan): Generator<readonly SampleRow[]> {
  const waiting = new Waiting(plan);
  for (let minute = 0; minute < MINUTES || waiting.hasLateRows; minute += 1) {
    const rows = waiting.rowsOf(minute);
    if (rows.length > 0) yield rows.sort((a, b) => a.writtenAtMs - b.writtenAtMs);
  }
}

const NOBODY = -1;

class Waiting {
  private readonly histories: WalletHistory[] = [];
  /** The last wallet that came to wait in a minute, and the one that came before each wallet. */
  private readonly lastOf = new Int32Array(MINUTES).fill(NOBODY);
  private readonly before: Int32Array;
  /** By the minute in which they are written down. */
  private readonly lateRows = new Map<number, SampleRow[]>();

  constructor(plan: SamplePlan) {
    const cast = castOf(plan);
    const rows = rowsOfWallets(plan, cast);
    this.before = new Int32Array(plan.wallets).fill(NOBODY);
    for (const part of walletParts(plan, cast, rows)) {
      this.histories.push(new WalletHistory(part));
      this.wait(part.wallet);
    }
  }

  get hasLateRows(): boolean {
    return this.lateRows.size > 0;
  }

  /** Each minute once, in order. Those of one wallet as they came about. */
  rowsOf(minute: number): SampleRow[] {
    const rows = this.lateRows.get(minute) ?? [];
    this.lateRows.delete(minute);
    let wallet = this.lastOf[minute] ?? NOBODY;
    while (wallet !== NOBODY) {
      const following = this.before[wallet] as number;
      const history = this.histories[wallet] as WalletHistory;
      while (minuteOf(history.nextMs) === minute) {
        for (const row of history.take()) this.put(row, minute, rows);
      }
      this.wait(wallet);
      wallet = following;
    }
    return rows;
  }

  private put(row: SampleRow, minute: number, rows: SampleRow[]): void {
    const writtenIn = minuteOf(row.writtenAtMs);
    if (writtenIn === minute) {
      rows.push(row);
      return;
    }
    const others = this.lateRows.get(writtenIn);
    if (others === undefined) this.lateRows.set(writtenIn, [row]);
    else others.push(row);
  }

  private wait(wallet: number): void {
    const { nextMs } = this.histories[wallet] as WalletHistory;
    if (nextMs === Number.POSITIVE_INFINITY) return;
    const minute = minuteOf(nextMs);
    this.before[wallet] = this.lastOf[minute] as number;
    this.lastOf[minute] = wallet;
  }
}

function minuteOf(timeMs: number): number {
  return Math.floor((timeMs - SAMPLE_START_MS) / MINUTE_MS);
}
