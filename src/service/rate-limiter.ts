/**
 * How often a key may be used: so many requests a second, and as many at once after a pause.
 *
 *   request ──> the moment at which all before it are paid for ──> at once, or how long to wait
 *
 * The generic cell rate algorithm: one number for each key, and no timer. hono-rate-limiter counts
 * in fixed windows, which let twice as many through around their edges, and is a handler of hono's:
 * a plain GET /check is answered before any of these.
 */

/** What may come at once after a pause: a second's worth. */
const BURST_MS = 1_000;

export class RateLimiter {
  /** By name: when the requests so far are paid for. As many as there are keys. */
  private readonly paidMs = new Map<string, number>();
  private readonly eachMs: number;

  constructor(
    perSecond: number,
    private readonly monotonicMs: () => number,
  ) {
    this.eachMs = 1_000 / perSecond;
  }

  /** 0: it may go on. Else the milliseconds until one may. */
  take(name: string): number {
    const nowMs = this.monotonicMs();
    const fromMs = Math.max(this.paidMs.get(name) ?? 0, nowMs);
    const waitMs = fromMs + this.eachMs - BURST_MS - nowMs;
    // A sum of floating-point numbers may be a hair too large.
    if (waitMs > 1e-6) return waitMs;
    this.paidMs.set(name, fromMs + this.eachMs);
    return 0;
  }
}
