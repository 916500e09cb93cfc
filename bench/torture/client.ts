/**
 * A client of the torture run: deposits over HTTP at whichever server it meets, as a careful
 * program would send them. What was not answered is sent again with the same key until it is.
 *
 *   deposit ──server──> 200: told      ──503, broken, silent: another server, the same key──┐
 *      └────────────────────────────────────────────────────────────────────────────────────┘
 *
 * Now and then it repeats a key that was answered, sends another amount under it, sends what must
 * be refused, or a deposit without a key, which it does not send again.
 */

import type { Answer } from "../../src/proof/load/http-connection.ts";
import { below, type Random } from "../../src/proof/random.ts";
import { Caller, HOST } from "./caller.ts";
import type { KeyedDeposit, Witness } from "./witness.ts";

const PAUSE_MS = 40;
/** Every deposit is answered in the end, or the run fails. */
const ANSWERED_WITHIN_MS = 60_000;

/** Shares of what a client does next; what is left are new deposits with a key. */
const REPEATS = 0.12;
const CONFLICTS = 0.04;
const REFUSALS = 0.04;
const UNKEYED = 0.2;

/** What 503 says when nothing was written. */
const CLEAN_REFUSALS = new Set(["busy", "log_unavailable", "store_unavailable"]);

export interface ClientOptions {
  readonly name: string;
  readonly ports: readonly number[];
  readonly random: Random;
  readonly wallets: readonly Wallet[];
  readonly witness: Witness;
  readonly signal: AbortSignal;
}

export interface Wallet {
  readonly name: string;
  /** Amounts are from one minor unit to this. */
  readonly mostMinor: number;
}

/** Below the limit for good, near it within two minutes, above it soon, above it at once. */
const MOST_MINOR = [100, 8_000, 50_000, 700_000];

/** Of every kind as many. */
export function newWallets(name: string, count: number): Wallet[] {
  return Array.from({ length: count }, (_, index) => ({
    name: `${name}-${index}`,
    mostMinor: MOST_MINOR[index % MOST_MINOR.length] as number,
  }));
}

export class Client {
  private sent = 0;
  private readonly answered: KeyedDeposit[] = [];
  private readonly caller: Caller;

  constructor(private readonly options: ClientOptions) {
    this.caller = new Caller(options.ports, options.random);
  }

  /** Until the signal fires and everything that it asked has been answered. */
  async run(): Promise<void> {
    const { random, signal, witness, name } = this.options;
    try {
      while (!signal.aborted) {
        await this.step(random());
        await Bun.sleep(random() * PAUSE_MS);
      }
    } catch (error) {
      witness.problems.push(`${name}: ${(error as Error).message}`);
    } finally {
      this.caller.close();
    }
  }

  private async step(chance: number): Promise<void> {
    const known = this.answered[below(this.options.random, this.answered.length)];
    if (chance < REPEATS && known !== undefined) return this.untilTold(known);
    if (chance < REPEATS + CONFLICTS && known !== undefined) return this.contradict(known);
    const { witness } = this.options;
    const wallet = this.wallet();
    const amountMinor = BigInt(1 + below(this.options.random, wallet.mostMinor));
    this.sent += 1;
    const key = `${this.options.name}-${this.sent}`;
    if (chance < REPEATS + CONFLICTS + REFUSALS) return this.beRefused(wallet.name, key);
    if (chance < REPEATS + CONFLICTS + REFUSALS + UNKEYED) {
      return this.sendUnkeyed(wallet.name, amountMinor);
    }
    const deposit = witness.ask(wallet.name, key, amountMinor);
    await this.untilTold(deposit);
    this.answered.push(deposit);
  }

  private wallet(): Wallet {
    const { wallets, random } = this.options;
    return wallets[below(random, wallets.length)] as Wallet;
  }

  /** Sends it again and again until it is answered 200. */
  private async untilTold(deposit: KeyedDeposit): Promise<void> {
    const { wallet, key, amountMinor } = deposit;
    const answer = await this.untilDecided({ wallet, key, amount: decimal(amountMinor) });
    if (answer.status === 200) this.options.witness.told(deposit, answer.body);
    else this.unexpected(key, answer);
  }

  private async contradict({ wallet, key, amountMinor }: KeyedDeposit): Promise<void> {
    const other = amountMinor + 1n;
    const answer = await this.untilDecided({ wallet, key, amount: decimal(other) });
    if (answer.status !== 409) return this.unexpected(key, answer);
    this.options.witness.conflicts.push({ wallet, key, amountMinor: other });
  }

  /** Each is refused for another reason; none may leave a trace. */
  private async beRefused(wallet: string, id: string): Promise<void> {
    const key = `refused-${id}`;
    const amounts = ["0", "-1", "1.001", "1e3", "12345678901234567890123", "x", ""];
    const amount = amounts[below(this.options.random, amounts.length)] as string;
    const answer = await this.untilDecided({ wallet, key, amount });
    if (answer.status !== 422) return this.unexpected(key, answer);
    this.options.witness.refused.push({ wallet, key });
  }

  private async sendUnkeyed(wallet: string, amountMinor: bigint): Promise<void> {
    const { witness } = this.options;
    const sending = witness.askUnkeyed(wallet, amountMinor);
    const answer = await this.send({ wallet, key: null, amount: decimal(amountMinor) });
    if (answer === null) return;
    if (answer.status === 200) witness.toldUnkeyed(sending, answer.body);
    else if (answer.status !== 503) this.unexpected("a deposit", answer);
    else if (CLEAN_REFUSALS.has(codeOf(answer))) witness.refusedUnkeyed(sending);
  }

  private async untilDecided(request: Request): Promise<Answer> {
    const deadlineMs = performance.now() + ANSWERED_WITHIN_MS;
    for (;;) {
      const answer = await this.send(request);
      if (answer !== null && answer.status !== 503) return answer;
      if (performance.now() > deadlineMs) throw new Error(`${request.key} was never answered`);
      await Bun.sleep(this.options.random() * PAUSE_MS);
    }
  }

  /** At a server by chance. Null: no answer, and nobody knows what became of it. */
  private send(request: Request): Promise<Answer | null> {
    return this.caller.call(textOf(request));
  }

  private unexpected(what: string, { status, body }: Answer): void {
    this.options.witness.problems.push(`${what} was answered ${status} ${body}`);
  }
}

interface Request {
  readonly wallet: string;
  readonly key: string | null;
  readonly amount: string;
}

function textOf({ wallet, key, amount }: Request): string {
  const body = JSON.stringify({ wallet_id: wallet, amount });
  const header = key === null ? "" : `Idempotency-Key: ${key}\r\n`;
  return (
    `POST /deposit HTTP/1.1\r\nHost: ${HOST}\r\n${header}` +
    `Content-Length: ${body.length}\r\n\r\n${body}`
  );
}

function codeOf({ body }: Answer): string {
  return (JSON.parse(body) as { code: string }).code;
}

/** Two decimals, as a new log has. */
function decimal(amountMinor: bigint): string {
  return `${amountMinor / 100n}.${String(amountMinor % 100n).padStart(2, "0")}`;
}
