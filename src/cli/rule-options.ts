/** What `rules set` and `backtest` share: window and limit, as they are typed and as they print. */

import type { App } from "../app.ts";
import { formatDecimal, parseAmount } from "../money.ts";
import { durationMs, durationText } from "./duration.ts";
import { UsageError } from "./usage-error.ts";

export interface RuleFlags {
  readonly window?: string;
  readonly limit?: string;
}

/** What was typed; null for what was left out. Throws UsageError. */
export function typedRule({ window, limit }: RuleFlags, app: App) {
  const windowMs = window === undefined ? null : durationMs("--window", window);
  const limitMinor = limit === undefined ? null : amountMinor(limit, app.decimals);
  if (windowMs !== null) {
    refuse(`--window is "${window}"`, app.rules.problem({ windowMs, limitMinor: 1n }));
  }
  if (limitMinor !== null) {
    refuse(`--limit is "${limit}"`, app.rules.problem({ windowMs: ANY_MS, limitMinor }));
  }
  return { windowMs, limitMinor };
}

export function ruleText(
  { windowMs, limitMinor }: { readonly windowMs: number; readonly limitMinor: bigint },
  decimals: number,
): string {
  return `more than ${formatDecimal(limitMinor, decimals)} in ${durationText(windowMs)}`;
}

function refuse(said: string, problem: string | null): void {
  if (problem !== null) throw new UsageError(`${said}: ${problem}`);
}

/** A window that can be. */
const ANY_MS = 60_000;

function amountMinor(text: string, decimals: number): bigint {
  try {
    return parseAmount(text, decimals);
  } catch (error) {
    if ((error as Error).name !== "MoneyError") throw error;
    throw new UsageError(`--limit is "${text}": ${(error as Error).message}`, { cause: error });
  }
}
