/**
 * The witness: an independent record of what clients asked and what they were told, kept in this
 * process's memory, which nobody kills.
 *
 *   client ──asked, told──> witness ──at the end──> judgement
 *                              └─meanwhile──> readers: what an answer must hold by now
 */

import { AnswerOrder, type AnsweredBefore, placeOf } from "./answer-order.ts";
import { type Seen, WalletRecord } from "./wallet-record.ts";

export interface Attempt {
  readonly wallet: string;
  /** The Idempotency-Key; null for a deposit without one. */
  readonly key: string | null;
  readonly amountMinor: bigint;
}

export interface Acknowledgement extends Attempt {
  /** `<partition>-<offset>`. */
  readonly position: string;
}

/** When a deposit was sent for the first time, and what had been answered by then. */
export interface Sending extends Attempt {
  readonly sentMs: number;
  readonly before: AnsweredBefore;
}

/** One key of one wallet. */
export interface KeyedDeposit extends Sending {
  readonly key: string;
  /** Someone was told that it counts. */
  isAcknowledged: boolean;
  /** The answer's text; null for a command's, which has only an exit code. */
  answer: string | null;
  position: string | null;
}

export class Witness {
  readonly keyed = new Map<string, KeyedDeposit>();
  /** Acknowledged deposits without a key. */
  readonly unkeyed: Acknowledgement[] = [];
  /** How often a deposit without a key may have been written, by wallet and amount. */
  readonly unkeyedAttempts = new Map<string, number>();
  /** What was answered 4xx: its key must not be counted, its wallet or key stands nowhere else. */
  readonly refused: { readonly wallet: string; readonly key: string }[] = [];
  /** Another amount under a known key: each was answered 409. */
  readonly conflicts: (Attempt & { readonly key: string })[] = [];
  /** Operators' commands that ended with success, by wallet: their reasons. */
  readonly operatorReasons = new Map<string, string[]>();
  /** By wallet: what a reader may expect. */
  readonly wallets = new Map<string, WalletRecord>();
  /** Wallets whose flags operators may take away. */
  readonly operated = new Set<string>();
  /** The last that was acknowledged, of any wallet. */
  newest: Acknowledgement | null = null;
  /** Answers that told a client that its deposit counts. */
  answers = 0;
  /** Reads at a position that were answered. */
  reads = 0;
  /** Deposits without a key that were refused, so that nothing of them may be there. */
  unkeyedRefusals = 0;
  /** What was seen to be wrong while it ran. */
  readonly problems: string[] = [];
  private readonly order = new AnswerOrder();

  /** Where event times are not this machine's, a reader cannot know when a flag must be there. */
  constructor(private readonly options: { readonly clocksDiffer?: boolean } = {}) {}

  ask(wallet: string, key: string, amountMinor: bigint): KeyedDeposit {
    const deposit: KeyedDeposit = {
      ...this.sending({ wallet, key, amountMinor }),
      ...{ key, isAcknowledged: false, answer: null, position: null },
    };
    this.keyed.set(keyOf(wallet, key), deposit);
    return deposit;
  }

  /** A 200 for a key. Every answer for it must be the same to the letter. */
  told(deposit: KeyedDeposit, body: string): void {
    const { key, answer } = deposit;
    if (answer !== null && answer !== body) {
      this.problems.push(`key ${key} was answered ${answer}, later ${body}`);
    }
    const position = positionOf(body);
    if (answer === null) this.acknowledged(deposit, position);
    this.answers += 1;
    deposit.isAcknowledged = true;
    deposit.answer = body;
    deposit.position = position;
  }

  askUnkeyed(wallet: string, amountMinor: bigint): Sending {
    this.countUnkeyed(wallet, amountMinor, 1);
    return this.sending({ wallet, key: null, amountMinor });
  }

  toldUnkeyed(sending: Sending, body: string): void {
    const { wallet, amountMinor } = sending;
    const position = positionOf(body);
    this.answers += 1;
    this.unkeyed.push({ wallet, key: null, amountMinor, position });
    this.acknowledged(sending, position);
  }

  /** Told that nothing was written. */
  refusedUnkeyed({ wallet, amountMinor }: Sending): void {
    this.unkeyedRefusals += 1;
    this.countUnkeyed(wallet, amountMinor, -1);
    this.walletOf(wallet).takeBack(amountMinor);
  }

  operatedOn(wallet: string, reason: string): void {
    const reasons = this.operatorReasons.get(wallet) ?? [];
    reasons.push(reason);
    this.operatorReasons.set(wallet, reasons);
  }

  /** An answer to `GET /check/<wallet>?after=<position>`. */
  sawAfter({ wallet, position }: Acknowledgement, seen: Seen): void {
    this.reads += 1;
    const { offset } = placeOf(position);
    const isFlagOpen = this.operated.has(wallet) || this.options.clocksDiffer === true;
    const wrong = this.walletOf(wallet).judge(offset, seen, { isFlagOpen });
    if (wrong !== null) this.problems.push(`${wallet} read after ${position}: ${wrong}`);
  }

  private sending(attempt: Attempt): Sending {
    this.walletOf(attempt.wallet).ask(attempt.amountMinor);
    return { ...attempt, sentMs: performance.now(), before: this.order.now() };
  }

  private acknowledged(sending: Sending, position: string): void {
    const { wallet, key, amountMinor, sentMs, before } = sending;
    const wrong = this.order.answered(position, before);
    if (wrong !== null) this.problems.push(`${key ?? wallet}: ${wrong}`);
    const { offset } = placeOf(position);
    this.walletOf(wallet).tell({ offset, amountMinor, sentMs, toldMs: performance.now() });
    this.newest = { wallet, key, amountMinor, position };
  }

  private walletOf(name: string): WalletRecord {
    const known = this.wallets.get(name) ?? new WalletRecord();
    this.wallets.set(name, known);
    return known;
  }

  private countUnkeyed(wallet: string, amountMinor: bigint, change: 1 | -1): void {
    const key = keyOf(wallet, String(amountMinor));
    this.unkeyedAttempts.set(key, (this.unkeyedAttempts.get(key) ?? 0) + change);
  }
}

/** Neither wallets nor keys here have a space. */
export function keyOf(wallet: string, key: string): string {
  return `${wallet} ${key}`;
}

function positionOf(body: string): string {
  return (JSON.parse(body) as { position: string }).position;
}
