/**
 * The list of flagged wallets for people, in columns.
 *
 *   wallets ──PAGE_WALLETS at a time──> tables, then what to type to see all of one
 *
 * They are not gathered as a whole: there may be more than memory takes.
 */

import type { App } from "../app.ts";
import { formatDecimal } from "../money.ts";
import { print } from "./output.ts";
import { quote, startedAs } from "./started-as.ts";
import { table } from "./table.ts";
import { localText, utcText } from "./time-text.ts";

type Evidence = ReturnType<App["wallets"]["evidence"]>;

/** In one table: more than anyone reads at once. */
const PAGE_WALLETS = 1_000;
const HEAD = ["wallet", "total", "deposits", "in the window up to", "in UTC", "flagged by"];

export class FlagPages {
  private rows: (readonly string[])[] = [];
  private count = 0;
  private first: string | null = null;

  constructor(private readonly decimals: number) {}

  /** `evidence` with the newest episode, if there is any. */
  add(walletId: string, evidence: Evidence): void {
    this.first ??= walletId;
    this.count += 1;
    this.rows.push([walletId, ...this.windowCells(evidence), flaggedBy(evidence)]);
    if (this.rows.length === PAGE_WALLETS) this.flush();
  }

  /** `data` is what a command needs to find this data. */
  end(data: string): void {
    if (this.first === null) return print("no wallet is flagged");
    if (this.rows.length > 0) this.flush();
    const flagged = this.count === 1 ? "1 wallet is" : `${this.count} wallets are`;
    const all = `${startedAs()} flags ${quote(this.first)}${data}`;
    print(`\n${flagged} flagged; all of one: ${all}`);
  }

  /** Of the window that opened the newest episode. */
  private windowCells({ episodes }: Evidence): string[] {
    const opening = episodes.at(-1)?.opening ?? null;
    if (opening === null) return ["-", "-", "-", "-"];
    const { totalMinor, depositCount, windowEndMs } = opening;
    return [
      formatDecimal(totalMinor, this.decimals),
      String(depositCount),
      localText(windowEndMs),
      utcText(windowEndMs),
    ];
  }

  private flush(): void {
    print(table(HEAD, this.rows).join("\n"));
    this.rows = [];
  }
}

/** In a few words; `flags <wallet>` has the sentence. */
function flaggedBy({ newestOrdinal, coveredOrdinal, eventCount, lastAction }: Evidence): string {
  const reasons: string[] = [];
  if (newestOrdinal > coveredOrdinal) {
    const newest = `nr ${newestOrdinal}`;
    reasons.push(
      eventCount === 1 ? `deposit ${newest}` : `${eventCount} deposits, the newest ${newest}`,
    );
  }
  if (lastAction === "add") reasons.push("an operator");
  return reasons.join(", and ");
}
