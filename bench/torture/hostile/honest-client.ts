/**
 * The honest client beside an attack: a deposit with a key or a read every now and then, each on a
 * connection that it keeps, and how long it waited.
 *
 *   every 20 ms ──POST or GET──> answer ──> times      ──> "p50 1 ms, p99 9 ms, at most 40 ms"
 */

import { HttpConnection } from "../../../src/proof/load/http-connection.ts";
import { HOST } from "../caller.ts";

const EVERY_MS = 20;
/** No answer for so long is no service. */
const ANSWERED_WITHIN_MS = 5_000;
/** Longer than any of the machine's own hiccups while two cores are shared with an attacker. */
const P99_WITHIN_MS = 1_000;

export class HonestClient {
  readonly faults: string[] = [];
  /** Deposits of one minor unit each that were acknowledged. */
  acknowledged = 0;
  private sent = 0;
  private timesMs: number[] = [];
  private isOver = false;
  private readonly working: Promise<void>;

  constructor(
    private readonly port: number,
    readonly wallet: string,
  ) {
    this.working = this.work();
  }

  /** What it waited since the last time, and a fault where that is too long. */
  report(during: string): string {
    const times = this.timesMs.toSorted((a, b) => a - b);
    this.timesMs = [];
    const at = (share: number) => times[Math.floor((times.length - 1) * share)] ?? 0;
    const p99 = at(0.99);
    if (times.length === 0) this.faults.push(`nothing was answered during ${during}`);
    if (p99 > P99_WITHIN_MS) this.faults.push(`p99 of ${p99.toFixed(0)} ms during ${during}`);
    const [p50, most] = [at(0.5), at(1)].map((ms) => ms.toFixed(1));
    return `p50 ${p50} ms, p99 ${p99.toFixed(1)} ms, at most ${most} ms of ${times.length}`;
  }

  async end(): Promise<void> {
    this.isOver = true;
    await this.working;
  }

  private async work(): Promise<void> {
    let connection: HttpConnection | null = null;
    while (!this.isOver) {
      await Bun.sleep(EVERY_MS);
      const startMs = performance.now();
      connection = await this.connected(connection);
      const status = connection === null ? 0 : await this.ask(connection);
      const ms = performance.now() - startMs;
      if (status === 200) this.timesMs.push(ms);
      else this.faults.push(`an honest request was answered ${status} after ${ms.toFixed(0)} ms`);
    }
    connection?.close();
  }

  private async connected(open: HttpConnection | null): Promise<HttpConnection | null> {
    if (open !== null && !open.isBroken) return open;
    return HttpConnection.open(new URL(`http://${HOST}:${this.port}`)).catch(() => null);
  }

  /** 0: not answered in time. */
  private async ask(connection: HttpConnection): Promise<number> {
    this.sent += 1;
    const isDeposit = this.sent % 2 === 0;
    const request = isDeposit ? this.deposit() : this.check();
    const status = await new Promise<number>((resolve) => {
      const late = setTimeout(() => connection.close(), ANSWERED_WITHIN_MS);
      connection.send(request, (answer) => {
        clearTimeout(late);
        resolve(answer?.status ?? 0);
      });
    });
    if (isDeposit && status === 200) this.acknowledged += 1;
    return status;
  }

  private deposit(): string {
    const body = `{"wallet_id":"${this.wallet}","amount":0.01}`;
    const key = `Idempotency-Key: ${this.wallet}-${this.sent}\r\n`;
    const head = `POST /deposit HTTP/1.1\r\nHost: ${HOST}\r\n${key}`;
    return `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
  }

  private check(): string {
    return `GET /check/${this.wallet} HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`;
  }
}
