/**
 * Readiness: whether a server can take deposits, and how the processors stand.
 *
 *   log (writable?), standing of each group ──> /readyz
 *
 * How processors stand is told and decides nothing: a server must take deposits while they are
 * away. Views decide only where they are copies, which are loaded first.
 */

import { type GroupStanding, type StandingOptions, Standings } from "../stream/standing.ts";

/**
 * Between two looks at the groups: a standstill, and a heartbeat that stops, show over time. Not
 * more often than needed: an idle server should cost nothing.
 */
const LOOK_EVERY_MS = 4_000;

export interface ReadinessOptions extends Omit<StandingOptions, "monotonicMs"> {
  readonly log: StandingOptions["log"] & {
    /** Why nothing can be written now; null when the log is well. */
    readonly problem: string | null;
  };
  /** Why views cannot answer yet; null where there is nothing to load. */
  readonly viewProblem?: () => string | null;
  /** Resolves after so many milliseconds, or when the signal fires. */
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
  /** The real one unless told. */
  readonly monotonicMs?: () => number;
}

export interface ReadinessNow {
  /** Why nothing can be written or answered now; null when the service is ready. */
  readonly problem: string | null;
  readonly isWritable: boolean;
  readonly groups: readonly GroupStanding[];
}

export class Readiness {
  private readonly standings: Standings;
  private latest: readonly GroupStanding[] = [];

  constructor(private readonly options: ReadinessOptions) {
    this.standings = new Standings({ monotonicMs: () => performance.now(), ...options });
  }

  async now(): Promise<ReadinessNow> {
    const { log, viewProblem } = this.options;
    const isWritable = log.problem === null;
    const problem = log.problem ?? viewProblem?.() ?? null;
    // A log that cannot be reached cannot be asked either: as of the last look then.
    return { problem, isWritable, groups: isWritable ? await this.look() : this.latest };
  }

  /** Looks regularly until the signal fires, so that the first who asks is told all of it. */
  async watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      // What a look throws is thrown again at whoever asks.
      await this.look().catch(() => {});
      await this.options.delay(LOOK_EVERY_MS, signal);
    }
  }

  private async look(): Promise<readonly GroupStanding[]> {
    this.latest = await this.standings.look();
    return this.latest;
  }
}
