/**
 * The detector's oracle: the rule as it reads, by brute force. It knows nothing of blocks, running
 * sums or the code in src, so that a test or a torture run can hold that code against it.
 *
 *   a wallet's counted deposits in log order ──> verdict of each arrival, and whether flagged
 *
 * A wallet is above the threshold if for some T its deposits with event time in (T - window, T]
 * sum to strictly more than the limit.
 */

export interface OracleDeposit {
  readonly timeMs: number;
  readonly amountMinor: bigint;
}

export interface OracleRule {
  readonly windowMs: number;
  readonly limitMinor: bigint;
}

export interface OracleVerdict {
  /** From 1, in order of arrival. */
  readonly ordinal: number;
  readonly isLate: boolean;
  /** The earliest-ending exceeding window that holds the deposit; null when there is none. */
  readonly exceeding: OracleWindow | null;
  /** The episode of an exceeding deposit, from 1; 0 for any other. */
  readonly episode: number;
  /** Ordinals of the window's deposits by time, then ordinal, when the event opens an episode. */
  readonly opening: readonly number[] | null;
}

export interface OracleWindow {
  /** Exclusive. */
  readonly startMs: number;
  /** Inclusive. */
  readonly endMs: number;
  readonly totalMinor: bigint;
  readonly count: number;
}

interface Arrived extends OracleDeposit {
  readonly ordinal: number;
}

/** One verdict for each deposit, in order of arrival; by the rule in force when it arrives. */
export function oracleVerdicts(
  deposits: readonly OracleDeposit[],
  rules: OracleRule | ((ordinal: number) => OracleRule),
): OracleVerdict[] {
  const arrived: Arrived[] = [];
  const verdicts: OracleVerdict[] = [];
  let previous: OracleWindow | null = null;
  let episode = 0;
  for (const deposit of deposits) {
    const ordinal = arrived.length + 1;
    const rule = typeof rules === "function" ? rules(ordinal) : rules;
    const isLate = arrived.some(({ timeMs }) => timeMs > deposit.timeMs);
    arrived.push({ ...deposit, ordinal });
    const exceeding = earliestExceeding(arrived, deposit.timeMs, rule);
    if (exceeding === null) {
      verdicts.push({ ordinal, isLate, exceeding, episode: 0, opening: null });
      continue;
    }
    const goesOn =
      previous !== null && previous.startMs < exceeding.endMs && exceeding.startMs < previous.endMs;
    if (!goesOn) episode++;
    previous = exceeding;
    const opening = goesOn ? null : inWindow(arrived, exceeding).map((one) => one.ordinal);
    verdicts.push({ ordinal, isLate, exceeding, episode, opening });
  }
  return verdicts;
}

/** Whether the deposits, in whatever order, ever exceed the limit in a window. */
export function oracleIsFlagged(deposits: readonly OracleDeposit[], rule: OracleRule): boolean {
  return deposits.some(({ timeMs }) => sumIn(deposits, rule, timeMs) > rule.limitMinor);
}

/** The running window: what lies in the window that ends at the newest deposit. */
export function oracleRunning(
  deposits: readonly OracleDeposit[],
  rule: OracleRule,
): { sumMinor: bigint; count: number; firstMs: number } {
  const newestMs = Math.max(...deposits.map(({ timeMs }) => timeMs));
  const inside = deposits.filter(({ timeMs }) => timeMs > newestMs - rule.windowMs);
  return {
    sumMinor: inside.reduce((sum, { amountMinor }) => sum + amountMinor, 0n),
    count: inside.length,
    firstMs: Math.min(...inside.map(({ timeMs }) => timeMs)),
  };
}

/** A sum grows only where a window's end reaches a deposit, so those ends are all to try. */
function earliestExceeding(
  arrived: readonly Arrived[],
  timeMs: number,
  rule: OracleRule,
): OracleWindow | null {
  const ends = arrived
    .map((one) => one.timeMs)
    .filter((endMs) => endMs >= timeMs && endMs - rule.windowMs < timeMs)
    .sort((a, b) => a - b);
  for (const endMs of ends) {
    const totalMinor = sumIn(arrived, rule, endMs);
    if (totalMinor > rule.limitMinor) {
      const window = { startMs: endMs - rule.windowMs, endMs };
      return { ...window, totalMinor, count: inWindow(arrived, window).length };
    }
  }
  return null;
}

function sumIn(deposits: readonly OracleDeposit[], rule: OracleRule, endMs: number): bigint {
  return deposits
    .filter(({ timeMs }) => timeMs > endMs - rule.windowMs && timeMs <= endMs)
    .reduce((sum, { amountMinor }) => sum + amountMinor, 0n);
}

function inWindow(
  arrived: readonly Arrived[],
  window: { readonly startMs: number; readonly endMs: number },
): Arrived[] {
  return arrived
    .filter(({ timeMs }) => timeMs > window.startMs && timeMs <= window.endMs)
    .sort((a, b) => a.timeMs - b.timeMs || a.ordinal - b.ordinal);
}
