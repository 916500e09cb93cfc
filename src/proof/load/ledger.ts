/**
 * What each wallet must have come to, by the answers alone.
 *
 *   balances before ──acknowledged deposits──> expected ──> balances after: right or wrong
 *
 * A deposit without a clear answer is sent again under its key until it has one; without a key it
 * may be counted or not. Nobody else may deposit into the wallets meanwhile.
 */

import { formatDecimal } from "../../money.ts";
import { LoadError } from "./load-error.ts";
import { type LoadPlan, type Verified, walletName, type WrongBalance } from "./load-plan.ts";
import type { LoadRequest, Requests } from "./requests.ts";
import { failureOf, type Failure, type Worker } from "./worker.ts";

/** Longer than a service needs to come back, or to settle what it was given. */
const PATIENCE_MS = 60_000;
const AGAIN_MS = 100;
/** Whatever the service says: several times within the patience. */
const MAX_AGAIN_MS = 5_000;
const TOO_MANY_REQUESTS = 429;

interface Expected {
  atLeast: bigint;
  atMost: bigint;
  last: { readonly position: string; readonly offset: number } | null;
}

export class Ledger {
  private readonly expected = new Map<string, Expected>();
  private readonly unclear: LoadRequest[] = [];
  private acknowledged = 0;
  private sentAgain = 0;
  private unknown = 0;

  constructor(
    private readonly plan: LoadPlan,
    private readonly requests: Requests,
    private readonly workers: readonly Worker[],
  ) {}

  /** Before the first deposit. */
  async open(signal: AbortSignal): Promise<void> {
    const { wallets, walletPrefix } = this.plan;
    const names = Array.from({ length: wallets }, (_, index) => walletName(walletPrefix, index));
    await this.each(names, async (worker, wallet) => {
      if (signal.aborted) return;
      const balance = await this.balance(worker, wallet, null);
      this.expected.set(wallet, { atLeast: balance, atMost: balance, last: null });
    });
  }

  /** How a deposit was answered. */
  note(request: LoadRequest, failure: Failure | null, body: string): void {
    const own = this.expected.get(request.wallet);
    const { amountMinor } = request;
    if (own === undefined || amountMinor === null || failure?.isRefused === true) return;
    if (failure !== null) {
      if (request.hasKey) return void this.unclear.push(request);
      this.unknown += 1;
      own.atMost += amountMinor;
      return;
    }
    this.acknowledged += 1;
    own.atLeast += amountMinor;
    own.atMost += amountMinor;
    const { position } = JSON.parse(body) as { position: string };
    const offset = Number(position.slice(position.indexOf("-") + 1));
    if (own.last === null || offset > own.last.offset) own.last = { position, offset };
  }

  /** After the last answer. Throws `LoadError` when the service does not answer or settle. */
  async close(): Promise<Verified> {
    const unclear = this.unclear.splice(0);
    this.sentAgain = unclear.length;
    await this.each(unclear, (worker, request) => this.sendAgain(worker, request));
    const wrong: WrongBalance[] = [];
    await this.each([...this.expected], async (worker, [wallet, own]) => {
      const found = await this.balance(worker, wallet, own.last?.position ?? null);
      if (found >= own.atLeast && found <= own.atMost) return;
      const text = (minor: bigint) => formatDecimal(minor, this.plan.amounts.decimals);
      const [atLeast, atMost] = [text(own.atLeast), text(own.atMost)];
      wrong.push({ wallet, atLeast, atMost, found: text(found) });
    });
    const { acknowledged, sentAgain, unknown } = this;
    const wallets = [...this.expected.values()].filter(({ last }) => last !== null).length;
    return { acknowledged, wallets, sentAgain, unknown, wrong };
  }

  private async sendAgain(worker: Worker, request: LoadRequest): Promise<void> {
    const { failure, body } = await this.patiently(worker, request.text, "answered");
    this.note(request, failure, body);
  }

  private async balance(worker: Worker, wallet: string, after: string | null): Promise<bigint> {
    const request = this.requests.check(wallet, after);
    const { failure, body } = await this.patiently(worker, request, "settled");
    if (failure !== null) throw new LoadError(`${wallet} cannot be checked: ${failure.words}`);
    const balance = /"balance":(-?)([0-9]+)(?:\.([0-9]+))?/.exec(body);
    const { decimals } = this.plan.amounts;
    if (balance === null) throw new LoadError(`not an answer to a check: ${body.slice(0, 200)}`);
    const [, minus, whole, fraction = ""] = balance;
    if (fraction.length > decimals) {
      throw new LoadError(
        `${wallet} has ${fraction.length} decimals in its balance: name --amount with as many`,
      );
    }
    return BigInt(`${minus}${whole}${fraction.padEnd(decimals, "0")}`);
  }

  /** Until the service says yes or no. That it is asked too often is neither: it is asked later. */
  private async patiently(worker: Worker, request: string, what: string) {
    const endMs = performance.now() + PATIENCE_MS;
    for (;;) {
      const outcome = await worker.ask(request);
      const failure = failureOf(outcome);
      const { status = 500, body = "", retryAfterMs = null } = outcome.answer ?? {};
      const isTooMany = status === TOO_MANY_REQUESTS;
      const isClear = failure === null || (status < 500 && !isTooMany);
      if (isClear) return { failure, body };
      if (performance.now() > endMs) {
        const seconds = PATIENCE_MS / 1_000;
        throw new LoadError(`not ${what} within ${seconds} s of asking: ${failure.words}`);
      }
      const saidMs = isTooMany ? (retryAfterMs ?? AGAIN_MS) : AGAIN_MS;
      await Bun.sleep(Math.min(Math.max(saidMs, AGAIN_MS), MAX_AGAIN_MS));
    }
  }

  /** All workers at once. */
  private async each<T>(
    items: readonly T[],
    work: (worker: Worker, item: T) => Promise<void>,
  ): Promise<void> {
    let next = 0;
    await Promise.all(
      this.workers.map(async (worker) => {
        while (next < items.length) await work(worker, items[next++] as T);
      }),
    );
  }
}
