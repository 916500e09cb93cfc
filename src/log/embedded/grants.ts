/**
 * The claims of one member in one group that are out.
 *
 *   membership ──add──> queue ──next──> holder ──giveBack──> membership, to free the partition
 *       └── revoke, lose ──────────────> holder
 *
 * Two things end, each at its own time: the right to a partition, when it is given back or lost;
 * and the loan, when the holder gives back, whoever has the partition by then.
 */

export interface Grant {
  readonly partition: number;
  readonly epoch: number;
  /** The holder is to give it back soon. */
  revoke(): void;
}

export class Grants<G extends Grant = Grant> {
  private readonly owned = new Map<number, G>();
  private readonly queue: G[] = [];
  private readonly lent = new Set<G>();
  private readonly waiting = new Set<() => void>();
  private failure: Error | null = null;

  /** The partition is this member's from now on; `next` hands the claim out. */
  add(grant: G): void {
    this.owned.set(grant.partition, grant);
    this.queue.push(grant);
    this.tell();
  }

  /** What this member owns, by partition. */
  all(): readonly G[] {
    return [...this.owned.values()].sort((a, b) => a.partition - b.partition);
  }

  owns({ partition, epoch }: Pick<Grant, "partition" | "epoch">): boolean {
    return this.owned.get(partition)?.epoch === epoch;
  }

  /** It stays this member's until it is given back. */
  revoke(partition: number): void {
    this.owned.get(partition)?.revoke();
  }

  revokeAll(): void {
    for (const grant of this.owned.values()) grant.revoke();
  }

  /** The partition is another's already. */
  lose(partition: number): void {
    this.revoke(partition);
    this.owned.delete(partition);
  }

  loseAll(): void {
    this.revokeAll();
    this.owned.clear();
  }

  /** By its holder; repeated calls change nothing. True when it was this member's until now. */
  giveBack(grant: G): boolean {
    this.lent.delete(grant);
    this.tell();
    return this.owns(grant) && this.owned.delete(grant.partition);
  }

  /** No claim comes any more: `next` throws the error. */
  fail(error: Error): void {
    this.failure = error;
    this.tell();
  }

  /**
   * The next claim, revoked or not, lent to whoever asks; null when the signal fires first. Throws
   * what `fail` was told.
   */
  async next(signal: AbortSignal): Promise<G | null> {
    while (!signal.aborted) {
      if (this.failure !== null) throw this.failure;
      const grant = this.queue.shift();
      if (grant !== undefined) {
        this.lent.add(grant);
        return grant;
      }
      await this.news(signal);
    }
    return null;
  }

  /** Resolves when nothing is lent, or when the signal fires. */
  async whenGivenBack(signal: AbortSignal): Promise<void> {
    while (this.lent.size > 0 && !signal.aborted) await this.news(signal);
  }

  private news(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.waiting.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.waiting.add(done);
      signal.addEventListener("abort", done);
    });
  }

  private tell(): void {
    for (const done of [...this.waiting]) done();
  }
}
