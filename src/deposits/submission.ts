/**
 * Submitting a deposit: what POST /deposit and `deposit` do with one, so that a key counts once.
 *
 *   deposit ──known with this amount?──> the first one's place
 *      │ no ──the same under way here?──> waits with it
 *      └ no ──> append ──no key──> its place, when durable
 *                  └──key──> wait until the collector has decided ──> first place, or conflict
 *
 * Nothing is remembered here beyond what is under way: which keys were counted, the table of the
 * group that counts them knows, for good and for every server. After Stripe's idempotency keys;
 * the deliberate differences are that a key never expires and that it belongs to a wallet.
 */

import type { Deposit } from "../gen/depositaja/v1/deposit_pb.ts";
import type { Emitter } from "../stream/emitter.ts";
import type { Input } from "../stream/group.ts";
import { formatPosition, type Position } from "../stream/position.ts";
import type { View } from "../stream/view.ts";
import {
  acceptedAtProblem,
  amountProblem,
  depositKeyProblem,
  depositStream,
  newDeposit,
  walletIdProblem,
} from "./deposit.ts";

/** Longer than any pause of a collector that lives; a client may then ask again. */
export const DECISION_TIMEOUT_MS = 5_000;
/** Deposits with a key under way at once: a few megabytes, and a second's work to decide. */
export const MAX_UNDECIDED_DEPOSITS = 16_384;

export interface DepositRequest {
  readonly walletId: string;
  /** In minor units. */
  readonly amountMinor: bigint;
  /** The client's own id, unique for the wallet; null when it gave none. */
  readonly key: string | null;
  /** Event time, Unix milliseconds; now when left out. */
  readonly acceptedAtMs?: number;
}

export interface AcceptedDeposit {
  /** Of the first record with the key: what names the deposit. */
  readonly position: Position;
  /** An earlier record, or one under way, counts; this request counts nothing. */
  readonly isRepeat: boolean;
}

export type DepositErrorCode =
  | "invalid_wallet_id"
  | "invalid_amount"
  | "invalid_key"
  | "invalid_time"
  /** The key was counted with another amount. The record stays and is never counted. */
  | "id_conflict"
  /** It is written, and the collector will decide once; nothing is known yet. */
  | "undecided"
  /** Too many wait. Nothing was written. */
  | "busy";

/** The one error of this layer. The message can be shown to whoever sent the deposit. */
export class DepositError extends Error {
  override readonly name = "DepositError";
  constructor(
    readonly code: DepositErrorCode,
    message: string,
  ) {
    super(message);
  }
}

export interface Submissions {
  /**
   * Resolves when the deposit is durable and, with a key, decided. Rejects with DepositError, or
   * as `EventLog.append` does.
   */
  submit(request: DepositRequest): Promise<AcceptedDeposit>;
  /** Ends every wait now: `undecided`. */
  abandon(): void;
}

export interface SubmissionOptions {
  readonly deposits: Emitter<Deposit>;
  /** Of the group that counts deposits and declares their ids unique. */
  readonly counted: View;
  /** Calls back when the view's progress may have moved; returns the way to stop. */
  readonly onChange: (listener: () => void) => () => void;
  /** Unix milliseconds. */
  readonly nowMs: () => number;
  /** Resolves after so many milliseconds, or when the signal fires. */
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
}

export function createSubmissions(options: SubmissionOptions): Submissions {
  const decisions = new Decisions(options);
  const underWay = new Map<string, Promise<AcceptedDeposit>>();
  const fingerprintOf = fingerprintFunction(options.counted);

  const submitWithKey = (emission: KeyedEmission): Promise<AcceptedDeposit> => {
    const { key: walletId, id } = emission;
    const fingerprint = fingerprintOf(emission.message);
    const known = decisions.known(walletId, id);
    if (known !== null && known.fingerprint === fingerprint) {
      return Promise.resolve({ position: known.position, isRepeat: true });
    }
    // Neither a wallet id nor an amount has a NUL, so that no two requests share a name.
    const name = `${walletId}\0${fingerprint}\0${id}`;
    const same = underWay.get(name);
    if (same !== undefined) return same.then(({ position }) => ({ position, isRepeat: true }));
    if (underWay.size >= MAX_UNDECIDED_DEPOSITS) {
      throw new DepositError("busy", "too many deposits wait for the collector: try again soon");
    }
    const outcome = (async () => {
      const position = await options.deposits.emit(emission);
      const written = { walletId, id, fingerprint, position };
      // A known id stays what it is. A conflict is written all the same, for the dead letters.
      return known === null ? decisions.decide(written) : decisions.verdict(written);
    })().finally(() => underWay.delete(name));
    underWay.set(name, outcome);
    return outcome;
  };

  return {
    submit: async ({ walletId, amountMinor, key, acceptedAtMs }) => {
      const nowMs = options.nowMs();
      const timeMs = acceptedAtMs ?? nowMs;
      check("invalid_wallet_id", walletIdProblem(walletId));
      check("invalid_amount", amountProblem(amountMinor));
      check("invalid_time", acceptedAtProblem(timeMs, nowMs));
      const message = newDeposit({ amountMinor, acceptedAtMs: timeMs });
      if (key !== null) {
        check("invalid_key", depositKeyProblem(key));
        return submitWithKey({ key: walletId, message, id: key });
      }
      const position = await options.deposits.emit({ key: walletId, message });
      return { position, isRepeat: false };
    },
    abandon: () => decisions.abandon(),
  };
}

interface KeyedEmission {
  readonly key: string;
  readonly message: Deposit;
  readonly id: string;
}

/** A deposit that is written and not decided. */
interface Undecided {
  readonly walletId: string;
  readonly id: string;
  readonly fingerprint: string;
  readonly position: Position;
}

interface Waiting extends Undecided {
  readonly resolve: (accepted: AcceptedDeposit) => void;
  readonly reject: (error: Error) => void;
  readonly timer: AbortController;
}

/** Waits for the collector, all waits with one listener. */
class Decisions {
  private readonly waiting = new Map<number, Set<Waiting>>();
  private stopListening: (() => void) | null = null;

  constructor(private readonly options: SubmissionOptions) {}

  known(walletId: string, id: string): { position: Position; fingerprint: string } | null {
    const { counted } = this.options;
    const row = counted.id(walletId, { topic: depositStream.topic, id });
    if (row === null) return null;
    const partition = counted.partitionOf(walletId);
    return { position: { partition, offset: row.offset }, fingerprint: row.fingerprint };
  }

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

  /** Throws `id_conflict`. */
  verdict({ walletId, id, fingerprint, position }: Undecided): AcceptedDeposit {
    const known = this.known(walletId, id);
    const place = formatPosition(position);
    if (known === null) throw new Error(`deposit ${place} was not counted: see the dead letters`);
    if (known.fingerprint === fingerprint) {
      return { position: known.position, isRepeat: known.position.offset !== position.offset };
    }
    throw new DepositError(
      "id_conflict",
      `the id "${id}" was used for ${formatPosition(known.position)} with another amount: ` +
        `this deposit (${place}) is not counted; give it an id of its own`,
    );
  }

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
      const inputs = this.options.counted.progress(partition)?.inputs ?? [];
      const done = inputs.find(({ topic }) => topic === depositStream.topic)?.nextOffset ?? 0n;
      for (const waiting of group) {
        if (waiting.position.offset < done) this.settle(waiting, () => this.verdict(waiting));
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
          "decided on it: send it again with the same id, it is counted once",
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

/** The group's own word for what tells two deposits with one id apart. */
function fingerprintFunction(counted: View): (message: Deposit) => string {
  const { name, inputs } = counted.group;
  const input = inputs.find(({ stream }) => stream === depositStream) as Input<Deposit> | undefined;
  const { fingerprint } = input ?? {};
  if (fingerprint === undefined) throw new Error(`group ${name} does not count ids of deposits`);
  return fingerprint;
}

function check(code: DepositErrorCode, problem: string | null): void {
  if (problem !== null) throw new DepositError(code, problem);
}
