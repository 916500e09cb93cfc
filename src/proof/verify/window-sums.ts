/**
 * The sums of a wallet's rolling windows while its deposits arrive in any order: for each time at
 * which one of its deposits lies, what has arrived so far in the window that ends there.
 *
 *   all times, known beforehand ──add──> sums ──firstAbove──> the earliest-ending window
 *
 * A sum grows only where a window's end reaches a deposit, so these ends are all there are to try.
 * Sums stand in a tree of maxima, so that a deposit costs the logarithm of their number however
 * many lie in one window.
 */

export class WindowSums {
  /** Of a node: what was added to all below it, and the greatest sum below it, that included. */
  private readonly added: bigint[];
  private readonly greatest: bigint[];

  /** `timesMs` ascending, each once; at least one. */
  constructor(
    private readonly timesMs: readonly number[],
    readonly windowMs: number,
  ) {
    const nodes = 4 * timesMs.length;
    this.added = Array.from({ length: nodes }, () => 0n);
    this.greatest = Array.from({ length: nodes }, () => 0n);
  }

  /** A deposit arrives: it lies in every window that ends from its time on until it leaves. */
  add(timeMs: number, amountMinor: bigint): void {
    this.addBelow(1, 0, this.timesMs.length - 1, { ...this.endsOf(timeMs), amountMinor });
  }

  /** The earliest-ending window that holds the time and sums to more than the limit; or null. */
  firstAbove(
    timeMs: number,
    limitMinor: bigint,
  ): { readonly endMs: number; readonly totalMinor: bigint } | null {
    const range = this.endsOf(timeMs);
    const found = this.firstBelow(1, 0, this.timesMs.length - 1, { ...range, limitMinor });
    if (found === null) return null;
    return { endMs: this.timesMs[found.index] as number, totalMinor: found.sumMinor };
  }

  /** Ends from the time on, those that the time has left excluded; as places among the times. */
  private endsOf(timeMs: number): { from: number; to: number } {
    const from = placeOf(this.timesMs, timeMs);
    return { from, to: placeOf(this.timesMs, timeMs + this.windowMs) - 1 };
  }

  private addBelow(
    node: number,
    first: number,
    last: number,
    change: { readonly from: number; readonly to: number; readonly amountMinor: bigint },
  ): void {
    const { added, greatest } = this;
    if (last < change.from || first > change.to) return;
    if (change.from <= first && last <= change.to) {
      added[node] = (added[node] as bigint) + change.amountMinor;
      greatest[node] = (greatest[node] as bigint) + change.amountMinor;
      return;
    }
    const middle = (first + last) >> 1;
    this.addBelow(2 * node, first, middle, change);
    this.addBelow(2 * node + 1, middle + 1, last, change);
    const left = greatest[2 * node] as bigint;
    const right = greatest[2 * node + 1] as bigint;
    greatest[node] = (left > right ? left : right) + (added[node] as bigint);
  }

  private firstBelow(
    node: number,
    first: number,
    last: number,
    wanted: { readonly from: number; readonly to: number; readonly limitMinor: bigint },
  ): { readonly index: number; readonly sumMinor: bigint } | null {
    const greatest = this.greatest[node] as bigint;
    if (last < wanted.from || first > wanted.to || greatest <= wanted.limitMinor) return null;
    if (first === last) return { index: first, sumMinor: greatest };
    const added = this.added[node] as bigint;
    const inside = { ...wanted, limitMinor: wanted.limitMinor - added };
    const middle = (first + last) >> 1;
    const found =
      this.firstBelow(2 * node, first, middle, inside) ??
      this.firstBelow(2 * node + 1, middle + 1, last, inside);
    return found === null ? null : { index: found.index, sumMinor: found.sumMinor + added };
  }
}

/** How many of the ascending times are below the given one. */
export function placeOf(timesMs: readonly number[], timeMs: number): number {
  let low = 0;
  let high = timesMs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((timesMs[middle] as number) < timeMs) low = middle + 1;
    else high = middle;
  }
  return low;
}
