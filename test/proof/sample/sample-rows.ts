/** A sample read back from its text, as whoever imports it reads it. */

import { sampleText } from "../../../src/proof/sample/sample-file.ts";
import type { SamplePlan } from "../../../src/proof/sample/sample-plan.ts";

export interface SampledRow {
  readonly walletId: string;
  readonly amountMinor: bigint;
  readonly timeMs: number;
  readonly id: string;
}

/** In the order of the file. Throws on a line that has another form. */
export function sampledRows(plan: SamplePlan): SampledRow[] {
  const [head, ...lines] = [...sampleText(plan)].join("").split("\n");
  if (head !== "wallet_id,amount,accepted_at,id") throw new Error(`another head: ${head}`);
  if (lines.pop() !== "") throw new Error("the last line does not end");
  return lines.map((line) => {
    const form = /^(wallet-\d+),(\d+)\.(\d\d),(\d{4}-\S+Z),(payment-\d+)$/;
    const [, walletId = "", whole = "", cents = "", time = "", id = ""] = form.exec(line) ?? [];
    if (walletId === "") throw new Error(`no row: ${line}`);
    return { walletId, amountMinor: BigInt(whole + cents), timeMs: Date.parse(time), id };
  });
}

/** In order, each id once. */
export function withoutRepeats(rows: readonly SampledRow[]): SampledRow[] {
  const known = new Set<string>();
  return rows.filter(({ walletId, id }) => {
    const name = `${walletId} ${id}`;
    return !known.has(name) && known.add(name);
  });
}
