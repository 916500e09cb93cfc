/**
 * Readiness: whether a server can take deposits, and how the processors stand.
 *
 *   log (writable?), views (loaded, followed?), standing of each group ──> /readyz
 *
 * How processors stand is told and decides nothing: a server must take deposits while they are
 * away. Views decide only where they are copies: these are loaded first, and one that is not
 * followed for long gives answers that are too old.
 */

import { getLogger } from "@logtape/logtape";
import { LogError } from "../log/event-log.ts";
import type { GroupNotFollowed } from "../stream/followers.ts";
import { type GroupStanding, type StandingOptions, Standings } from "../stream/standing.ts";

/**
 * Between two looks at the groups: a standstill, and a heartbeat that stops, show over time. Not
 * more often than needed: an idle server should cost nothing.
 */
const LOOK_EVERY_MS = 4_000;
/** A leader that moves or a broker that restarts is back within 10 s; the rest may stay. */
export const UNFOLLOWED_GRACE_MS = 30_000;

const logger = getLogger(["depositaja", "service"]);

export interface ReadinessOptions extends Omit<StandingOptions, "monotonicMs"> {
  readonly log: StandingOptions["log"] & {
    /** Why nothing can be written now; null when the log is well. */
    readonly problem: string | null;
  };
  /** Why views cannot answer yet; null where there is nothing to load. */
  readonly viewProblem?: () => string | null;
  /** Copies that get no rows; none where views need no copies. */
  readonly viewsNotFollowed?: () => readonly GroupNotFollowed[];
  /** Resolves after so many milliseconds, or when the signal fires. */
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
  /** The real one unless told. */
  readonly monotonicMs?: () => number;
}

export interface ReadinessNow {
  /** Why nothing can be written or answered now; null when the service is ready. */
  readonly problem: string | null;
  readonly isWritable: boolean;
  readonly viewsNotFollowed: readonly GroupNotFollowed[];
  readonly groups: readonly GroupStanding[];
}

export class Readiness {
  private readonly standings: Standings;
  private latest: readonly GroupStanding[] = [];
  private hasBeenReady = false;
  private isToldUnready = false;

  constructor(private readonly options: ReadinessOptions) {
    this.standings = new Standings({ monotonicMs: () => performance.now(), ...options });
  }

  async now(): Promise<ReadinessNow> {
    // A log that cannot be reached cannot be asked either: as of the last look then.
    const failure = this.options.log.problem === null ? await this.failureOfLook() : null;
    const isWritable = this.options.log.problem === null;
    const viewsNotFollowed = this.options.viewsNotFollowed?.() ?? [];
    const problem = this.problem(viewsNotFollowed) ?? failure;
    this.tell(problem);
    return { problem, isWritable, viewsNotFollowed, groups: this.latest };
  }

  /** Looks regularly until the signal fires, so that the first who asks is told all of it. */
  async watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      // What a look throws is thrown again at whoever asks.
      const failure = await this.failureOfLook().catch(() => null);
      this.tell(this.problem(this.options.viewsNotFollowed?.() ?? []) ?? failure);
      await this.options.delay(LOOK_EVERY_MS, signal);
    }
  }

  /** Looks how the groups stand; why the log could not be asked, null when it could. */
  private async failureOfLook(): Promise<string | null> {
    try {
      this.latest = await this.standings.look();
      return null;
    } catch (error) {
      if (error instanceof LogError) return error.message;
      throw error;
    }
  }

  private problem(views: readonly GroupNotFollowed[]): string | null {
    const { log, viewProblem } = this.options;
    const known = log.problem ?? viewProblem?.() ?? null;
    const old = views.find(({ forMs }) => forMs >= UNFOLLOWED_GRACE_MS);
    if (known !== null || old === undefined) return known;
    const { group, partition, reason, forMs } = old;
    return (
      `the view of ${group} is not followed (partition ${partition}) since ` +
      `${Math.floor(forMs / 1_000)} s: ${reason}`
    );
  }

  /** Once when it turns, however often it is asked. */
  private tell(problem: string | null): void {
    if (problem === null) {
      if (this.isToldUnready) logger.info("ready");
      this.isToldUnready = false;
      this.hasBeenReady = true;
    } else if (!this.isToldUnready) {
      this.isToldUnready = true;
      // Tables that are loaded at a start are nothing to be warned of.
      if (this.hasBeenReady) logger.warn("not ready: {problem}", { problem });
      else logger.info("not ready yet: {problem}", { problem });
    }
  }
}
