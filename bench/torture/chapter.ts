/**
 * A chapter of the torture run: one kind of fault, brought about under load, and judged.
 *
 *   command line ──ground──> chapter ──> faults, one sentence each
 */

import type { ClusterPlace } from "./site.ts";

/** What a chapter runs on. */
export interface Ground {
  readonly seed: number;
  /** On a disk, empty, the chapter's own. */
  readonly folder: string;
  /** Where it can run in a cluster, and shall. */
  readonly cluster: Omit<ClusterPlace, "folder"> | null;
  /** A file descriptor for what the processes say. */
  readonly errors: number;
  /** No new faults from then on, by `performance.now()`. */
  readonly endMs: number;
  readonly kills: number;
  readonly connections: number;
  readonly wallets: number;
  readonly say: (line: string) => void;
}

/** Null when it cannot run here; it has said why. */
export type Faults = readonly string[] | null;

export type Chapter = (ground: Ground) => Promise<Faults>;
