/**
 * What the clients know of one wallet, and therefore what a reader must be told.
 *
 *   asked, acknowledged ──> least and most that a balance can be, when a flag must be there
 */

/** The published rule: more than 10,000.00 within 120 s. */
const LIMIT_MINOR = 1_000_000n;
const WINDOW_MS = 120_000;
/** Clocks of servers on one machine differ by less. */
const CLOCK_MS = 1_000;
/** Enough to exceed; what is older matters to no window. */
const REMEMBERED = 200;

export interface ToldDeposit {
  readonly offset: bigint;
  readonly amountMinor: bigint;
  /** It was accepted after the first and before the second, by this process's clock. */
  readonly sentMs: number;
  readonly toldMs: number;
}

/** What a reader was told. */
export interface Seen {
  readonly totalMinor: bigint;
  readonly isFlagged: boolean;
}

export class WalletRecord {
  private askedMinor = 0n;
  private readonly told: ToldDeposit[] = [];

  ask(amountMinor: bigint): void {
    this.askedMinor += amountMinor;
  }

  /** It was refused: it must not be counted. */
  takeBack(amountMinor: bigint): void {
    this.askedMinor -= amountMinor;
  }

  tell(deposit: ToldDeposit): void {
    this.told.push(deposit);
  }

  /** Null, or what is wrong with an answer that holds everything up to the offset. */
  judge(offset: bigint, seen: Seen, { isFlagOpen }: { isFlagOpen: boolean }): string | null {
    const before = this.told.filter((each) => each.offset <= offset);
    const least = before.reduce((sum, { amountMinor }) => sum + amountMinor, 0n);
    const { totalMinor, isFlagged } = seen;
    if (totalMinor < least) return `the balance ${totalMinor} lacks some of ${least}`;
    if (totalMinor > this.askedMinor) {
      return `the balance ${totalMinor} is more than was ever sent, ${this.askedMinor}`;
    }
    if (isFlagged || isFlagOpen || !exceeds(before.slice(-REMEMBERED))) return null;
    return "deposits over the limit, and no flag";
  }
}

/** Whether some of them surely lie in one window together, and are more than the limit. */
function exceeds(deposits: readonly ToldDeposit[]): boolean {
  return deposits.some(({ sentMs }) => {
    const together = deposits.filter(
      (each) => each.sentMs >= sentMs && each.toldMs < sentMs + WINDOW_MS - CLOCK_MS,
    );
    return together.reduce((sum, { amountMinor }) => sum + amountMinor, 0n) > LIMIT_MINOR;
  });
}
