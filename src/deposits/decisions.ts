/**
 * Decisions: what became of a deposit with a key, as the group that counts keys has it.
 *
 *   written ──the group's progress beyond it?──> its row of the key ──> first place, or conflict
 *      └── 5 s without ──> undecided
 *
 * All waits share one listener; a partition's progress is read once for all that wait in it.
 */

import { formatPosition, type Position } from "../stream/position.ts";
import { isBeyond } from "../stream/settling.ts";
import type { View } from "../stream/view.ts";
import { depositStream } from "./deposit.ts";
import { DepositError } from "./deposit-error.ts";

/** Longer than any pause of a collector that lives; a client may then ask again. */
export const DECISION_TIMEOUT_MS = 5_000;

export interface DecisionOptions {
  /** Of the group that counts deposits and declares their ids unique. */
  readonly counted: View;
  /** Calls back when the view's progress may have moved; returns the way to stop. */
  readonly onChange: (listener: () => void) => () => void;
  /** Resolves after so many milliseconds, or when the signal fires. */
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
}

export interface AcceptedDeposit {
  /** Of the first record with the key: what names the deposit. */
  readonly position: Position;
  /** An earlier record, or one under way, counts; this request counts nothing. */
  readonly isRepeat: boolean;
}

/** A deposit that is written and not decided. */
export interface Undecided {
  readonly walletId: string;
  readonly id: string;
  /** What the client knows the id as: a message names what was sent. */
  readonly idName: string;
  readonly fingerprint: string;
  readonly position: Position;
}

interface Waiting extends Undecided {
  readonly resolve: (accepted: AcceptedDeposit) => void;
  readonly reject: (error: Error) => void;
  readonly timer: AbortController;
}

export class Decisions {
  private readonly waiting = new Map<number, Set<Waiting>>();
  private stopListening: (() => void) | null = null;

  constructor(private readonly options: DecisionOptions) {}

  /** What a key was counted with; null while it was not. */
  known(walletId: string, id: string): { position: Position; fingerprint: string } | null {
    const { counted } = this.options;
    const row = counted.id(walletId, { topic: depositStream.topic, id });
    if (row === null) return null;
    const partition = counted.partitionOf(walletId);
    return { position: { partition, offset: row.offset }, fingerprint: row.fingerprint };
  }

  /** Waits for the group. Rejects with DepositError `id_conflict`, `undecided`. */
  decide(undecided: Undecided): Promise<AcceptedDeposit> {
    return new Promise((resolve, reject) => {
      const waiting = { ...undecided, resolve, reject, timer: new AbortController() };
      const { partition } = undecided.position;
      let group = this.waiting.get(partition);
      if (group === undefined) this.waiting.set(partition, (group = new Set()));
      group.add(waiting);
      this.stopListening ??= this.options.onChange(() => this.look());
      this.lookAt(partition, group); // it may be decided already
      if (!group.has(waiting)) return;
      this.options
        .delay(DECISION_TIMEOUT_MS, waiting.timer.signal)
        .then(() => this.giveUp(waiting), reject);
    });
  }

  /** Of one that is decided. Throws `id_conflict`. */
  verdict({ walletId, id, idName, fingerprint, position }: Undecided): AcceptedDeposit {
    const known = this.known(walletId, id);
    const place = formatPosition(position);
    if (known === null) throw new Error(`deposit ${place} was not counted: see the dead letters`);
    if (known.fingerprint === fingerprint) {
      return { position: known.position, isRepeat: known.position.offset !== position.offset };
    }
    throw new DepositError(
      "id_conflict",
      `the ${idName} "${id}" was used for ${formatPosition(known.position)} with another amount: ` +
        `this deposit (${place}) is not counted; give it an ${idName} of its own`,
    );
  }

  /** Deposits that are written and not decided. */
  get waitingCount(): number {
    let count = 0;
    for (const group of this.waiting.values()) count += group.size;
    return count;
  }

  /** Ends every wait now: `undecided`. */
  abandon(): void {
    for (const group of this.waiting.values()) {
      for (const waiting of [...group]) this.giveUp(waiting);
    }
  }

  private look(): void {
    for (const [partition, group] of this.waiting) this.lookAt(partition, group);
  }

  private lookAt(partition: number, group: Set<Waiting>): void {
    try {
      const progress = this.options.counted.progress(partition);
      const { topic } = depositStream;
      for (const waiting of group) {
        const isDone = isBeyond(progress, { topic, offset: waiting.position.offset });
        if (isDone) this.settle(waiting, () => this.verdict(waiting));
      }
    } catch (error) {
      const fail = () => {
        throw error;
      };
      for (const waiting of group) this.settle(waiting, fail);
    }
  }

  private giveUp(waiting: Waiting): void {
    this.settle(waiting, () => {
      throw new DepositError(
        "undecided",
        `the deposit ${formatPosition(waiting.position)} is written, but the collector has not ` +
          `decided on it: send it again with the same ${waiting.idName}, it is counted once`,
      );
    });
  }

  /** Once for each; later calls change nothing. */
  private settle(waiting: Waiting, end: () => AcceptedDeposit): void {
    const { partition } = waiting.position;
    const group = this.waiting.get(partition);
    if (group?.delete(waiting) !== true) return;
    if (group.size === 0) this.waiting.delete(partition);
    if (this.waiting.size === 0) {
      this.stopListening?.();
      this.stopListening = null;
    }
    waiting.timer.abort();
    try {
      waiting.resolve(end());
    } catch (error) {
      waiting.reject(error as Error);
    }
  }
}
