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
import { formatPosition } from "../stream/position.ts";
import { StreamError } from "../stream/stream-error.ts";
import {
  type AcceptedDeposit,
  type DecisionOptions,
  Decisions,
  type Undecided,
} from "./decisions.ts";
import {
  acceptedAtProblem,
  amountProblem,
  checkedWalletId,
  depositFingerprint,
  depositKeyProblem,
  newDeposit,
} from "./deposit.ts";
import { DepositError, type DepositErrorCode } from "./deposit-error.ts";

/** Deposits with a key under way at once: a few megabytes, and a second's work to decide. */
export const MAX_UNDECIDED_DEPOSITS = 16_384;

export interface DepositRequest {
  readonly walletId: string;
  /** In minor units. */
  readonly amountMinor: bigint;
  /** The client's own id, unique for the wallet; null when it gave none. */
  readonly key: string | null;
  /** What the client knows the key as, for messages; `id` when left out. */
  readonly keyName?: string;
  /** Event time, Unix milliseconds; now when left out. */
  readonly acceptedAtMs?: number;
}

export interface Submissions {
  /**
   * Resolves when the deposit is durable and, with a key, decided. Rejects with DepositError, or
   * as `EventLog.append` does.
   */
  submit(request: DepositRequest): Promise<AcceptedDeposit>;
  /** How many are under way: not durable yet, or with a key and not decided. */
  readonly waiting: { readonly durable: number; readonly decision: number };
  /** Ends every wait now: `undecided`. */
  abandon(): void;
}

export interface SubmissionOptions extends DecisionOptions {
  readonly deposits: Emitter<Deposit>;
  /** Unix milliseconds. */
  readonly nowMs: () => number;
}

export function createSubmissions(options: SubmissionOptions): Submissions {
  const decisions = new Decisions(options);
  const underWay = new Map<string, Promise<AcceptedDeposit>>();
  let undurable = 0;

  const submitWithKey = (emission: KeyedEmission): Promise<AcceptedDeposit> => {
    const { key: walletId, id, idName } = emission;
    const fingerprint = depositFingerprint(emission.message);
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
      undurable += 1;
      let position: AcceptedDeposit["position"];
      try {
        position = await options.deposits.emit(emission);
      } finally {
        undurable -= 1;
      }
      const written = { walletId, id, idName, fingerprint, position };
      // A known id stays what it is. A conflict is written all the same, for the dead letters.
      if (known !== null) return decisions.verdict(written);
      return decisions.decide(written).catch((error: unknown) => {
        throw error instanceof StreamError ? unreadable(written) : error;
      });
    })().finally(() => underWay.delete(name));
    underWay.set(name, outcome);
    return outcome;
  };

  return {
    submit: async ({ walletId, amountMinor, key, keyName = "id", acceptedAtMs }) => {
      const nowMs = options.nowMs();
      const timeMs = acceptedAtMs ?? nowMs;
      checkedWalletId(walletId);
      check("invalid_amount", amountProblem(amountMinor));
      check("invalid_time", acceptedAtProblem(timeMs, nowMs));
      const message = newDeposit({ amountMinor, acceptedAtMs: timeMs });
      if (key !== null) {
        check("invalid_key", depositKeyProblem(key));
        const idName = keyName;
        return submitWithKey({ key: walletId, message, id: key, idName, notBeforeMs: nowMs });
      }
      // The processors check the time again, against the record's: it must not be an earlier one.
      const emission = { key: walletId, message, notBeforeMs: nowMs };
      undurable += 1;
      try {
        return { position: await options.deposits.emit(emission), isRepeat: false };
      } finally {
        undurable -= 1;
      }
    },
    get waiting() {
      return { durable: undurable, decision: decisions.waitingCount };
    },
    abandon: () => decisions.abandon(),
  };
}

/** The deposit is written, so no table's fault may make it look refused. */
function unreadable({ position, idName }: Undecided): DepositError {
  return new DepositError(
    "undecided",
    `deposit ${formatPosition(position)} is written, but the collector's table cannot be read: ` +
      `send it again with the same ${idName}`,
  );
}

interface KeyedEmission {
  readonly key: string;
  readonly message: Deposit;
  readonly id: string;
  readonly idName: string;
  readonly notBeforeMs: number;
}

function check(code: DepositErrorCode, problem: string | null): void {
  if (problem !== null) throw new DepositError(code, problem);
}
