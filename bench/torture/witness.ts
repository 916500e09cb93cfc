/**
 * The witness: an independent record of what clients asked and what they were told, kept in this
 * process's memory, which nobody kills.
 *
 *   client ──asked, told──> witness ──at the end──> judgement
 */

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

/** One key of one wallet. */
export interface KeyedDeposit {
  readonly wallet: string;
  readonly key: string;
  readonly amountMinor: bigint;
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
  /** How often a deposit without a key was sent, by wallet and amount: some were not answered. */
  readonly unkeyedAttempts = new Map<string, number>();
  /** What was answered 4xx: its key must not be counted, its wallet or key stands nowhere else. */
  readonly refused: { readonly wallet: string; readonly key: string }[] = [];
  /** Another amount under a known key: each was answered 409. */
  readonly conflicts: (Attempt & { readonly key: string })[] = [];
  /** Operators' commands that ended with success, by wallet: their reasons. */
  readonly operatorReasons = new Map<string, string[]>();
  /** Answers that told a client that its deposit counts. */
  answers = 0;
  /** What was seen to be wrong while it ran. */
  readonly problems: string[] = [];

  ask(wallet: string, key: string, amountMinor: bigint): KeyedDeposit {
    const deposit: KeyedDeposit = {
      ...{ wallet, key, amountMinor },
      ...{ isAcknowledged: false, answer: null, position: null },
    };
    this.keyed.set(keyOf(wallet, key), deposit);
    return deposit;
  }

  /** A 200 for a key. Every answer for it must be the same to the letter. */
  told(deposit: KeyedDeposit, body: string): void {
    if (deposit.answer !== null && deposit.answer !== body) {
      this.problems.push(`key ${deposit.key} was answered ${deposit.answer}, later ${body}`);
    }
    this.answers += 1;
    deposit.isAcknowledged = true;
    deposit.answer = body;
    deposit.position = positionOf(body);
  }

  askUnkeyed(wallet: string, amountMinor: bigint): void {
    const key = keyOf(wallet, String(amountMinor));
    this.unkeyedAttempts.set(key, (this.unkeyedAttempts.get(key) ?? 0) + 1);
  }

  toldUnkeyed(attempt: Attempt, body: string): void {
    this.answers += 1;
    this.unkeyed.push({ ...attempt, position: positionOf(body) });
  }

  operated(wallet: string, reason: string): void {
    const reasons = this.operatorReasons.get(wallet) ?? [];
    reasons.push(reason);
    this.operatorReasons.set(wallet, reasons);
  }
}

/** Neither wallets nor keys here have a space. */
export function keyOf(wallet: string, key: string): string {
  return `${wallet} ${key}`;
}

function positionOf(body: string): string {
  return (JSON.parse(body) as { position: string }).position;
}
