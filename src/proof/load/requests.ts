/**
 * The requests of a load, by chance from its seed: kind, wallet, amount.
 *
 *   seed ──mix, skew, amounts──> request ──> the bytes to send
 *
 * Keys are new in each run: the same seed again sends other deposits into the same wallets.
 */

import { randomUUID } from "node:crypto";
import { formatDecimal } from "../../money.ts";
import { below, type Random, randomFrom } from "../random.ts";
import { type LoadPlan, REQUEST_KINDS, type RequestKind, walletName } from "./load-plan.ts";

export interface LoadRequest {
  readonly kind: RequestKind;
  readonly wallet: string;
  /** Null: a check. */
  readonly amountMinor: bigint | null;
  readonly hasKey: boolean;
  /** As it is sent, head and body. */
  readonly text: string;
}

export class Requests {
  private readonly random: Random;
  private readonly keyPrefix = randomUUID();
  private readonly kinds: readonly RequestKind[];
  private readonly pick: () => number;
  /** What each head has. */
  private readonly common: string;
  private made = 0;

  constructor(private readonly plan: LoadPlan) {
    this.random = randomFrom(plan.seed);
    this.kinds = REQUEST_KINDS.flatMap((kind) =>
      Array.from({ length: plan.mix[kind] ?? 0 }, () => kind),
    );
    this.pick = picker(plan, this.random);
    const bearer = plan.apiKey === null ? "" : `Authorization: Bearer ${plan.apiKey}\r\n`;
    this.common = `Host: ${plan.url.host}\r\n${bearer}`;
  }

  next(): LoadRequest {
    const kind = this.kinds[below(this.random, this.kinds.length)] as RequestKind;
    const wallet = walletName(this.plan.walletPrefix, this.pick());
    if (kind === "check") {
      return { kind, wallet, amountMinor: null, hasKey: false, text: this.check(wallet) };
    }
    const { amounts, hasKeys: hasKey } = this.plan;
    const span = Number(amounts.mostMinor - amounts.leastMinor) + 1;
    const amountMinor = amounts.leastMinor + BigInt(below(this.random, span));
    this.made += 1;
    const key = hasKey ? `Idempotency-Key: ${this.keyPrefix}-${this.made}\r\n` : "";
    const amount = formatDecimal(amountMinor, amounts.decimals);
    const body = `{"wallet_id":"${wallet}","amount":"${amount}"}`;
    const text =
      `POST /deposit HTTP/1.1\r\n${this.common}` +
      `Content-Type: application/json\r\n${key}Content-Length: ${body.length}\r\n\r\n${body}`;
    return { kind, wallet, amountMinor, hasKey, text };
  }

  /** With a position: answered once that is settled. */
  check(wallet: string, after: string | null = null): string {
    const query = after === null ? "" : `?after=${after}`;
    return `GET /check/${wallet}${query} HTTP/1.1\r\n${this.common}\r\n`;
  }
}

/** The number of a wallet, skewed as the plan says. */
function picker({ wallets, skew }: LoadPlan, random: Random): () => number {
  if (skew === 0) return () => below(random, wallets);
  const shares = new Float64Array(wallets); // of all wallets up to each
  let sum = 0;
  for (let index = 0; index < wallets; index += 1) {
    sum += (index + 1) ** -skew;
    shares[index] = sum;
  }
  return () => firstAtLeast(shares, random() * sum);
}

function firstAtLeast(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
