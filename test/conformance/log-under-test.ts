/**
 * What an adapter's test gives to the conformance suite: how to open a log, and what else can be
 * done to it from outside. The suite runs against this alone and never looks behind the port.
 */

import type { Claim, EventLog } from "../../src/log/event-log.ts";

export interface OpenOptions {
  /** True unless told. */
  readonly create?: boolean;
  readonly settings?: Readonly<Record<string, string>>;
  /** The real clock unless told. */
  readonly nowMs?: () => number;
  readonly keepsChangelogs?: boolean;
  /** Called between the steps of an append or a commit; a throw there is a failure of the log. */
  readonly onStep?: (step: string) => void | Promise<void>;
}

/** What one test process does to a log: a file's flipped bit, another owner, a lost answer. */
export interface Features {
  /**
   * Path of a module that exports `logUnderTest`, so that a child process can open the same
   * place. Null: a place cannot be shared, neither by processes nor by instances.
   */
  readonly childModule: string | null;
  /** Which kinds of log there are to test: with changelogs, without, or both. */
  readonly changelogModes: readonly boolean[];
  /** A killed owner's partitions go to another within this: at once, or after its session. */
  readonly deadOwnerWithinMs: number;
  /** Whether an owner that hangs keeps its claims until somebody else wants them. */
  readonly keepsHangingOwner: boolean;
  /** Whether records carry the log's own clock (`nowMs`), or a broker's. */
  readonly hasOwnClock: boolean;
  /** Whether `notify` reaches other instances: where they share the stores. */
  readonly sharesStores: boolean;
  /** Steps of `onStep` at which a throw means "this cannot be written now". */
  readonly stepsBeforeWritten: {
    readonly append: readonly string[];
    readonly commit: readonly string[];
  };
  /**
   * Another owner takes the partition and does not ask. False when it cannot at this moment,
   * because the owner is in the middle of a commit. May be called inside `onStep`.
   */
  usurp(log: EventLog, place: string, claim: Claim): Promise<boolean> | boolean;
  /** The next write's answer is lost; it was written or not, as told. */
  loseNextAnswer(log: EventLog, isWritten: boolean): void;
  /** Runs compaction and retention now, by the log's clock. Null: it cannot be told to. */
  readonly clean: ((log: EventLog) => Promise<unknown>) | null;
  /**
   * Flips one bit in the first of these bytes where they are stored; the log is closed. Null:
   * there is nothing stored that outlives the log.
   */
  readonly damage: ((place: string, bytes: Uint8Array) => void) | null;
}

export interface LogUnderTest {
  readonly name: string;
  /** A place where no log is yet. The test run cleans it up. */
  newPlace(): string;
  open(place: string, options?: OpenOptions): Promise<EventLog>;
  readonly features: Features;
}
