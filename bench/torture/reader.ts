/**
 * A reader of the torture run: as soon as a deposit is acknowledged it asks any server for the
 * wallet as of that position. The answer must hold that deposit and all before it, flag included.
 *
 *   witness's newest ──GET /check?after=position──> 200 ──> witness
 *                                                └──> 503, 504, broken: not known yet, go on
 */

import type { Answer } from "../../src/proof/load/http-connection.ts";
import { Caller, HOST } from "./caller.ts";
import type { ClientOptions } from "./client.ts";
import { seenIn } from "./findings.ts";

const PAUSE_MS = 20;
/** Servers that are killed and processors that are away: ask again later. */
const LATER = new Set([503, 504]);

export class Reader {
  constructor(private readonly options: Omit<ClientOptions, "wallets">) {}

  /** Until the signal fires. */
  async run(): Promise<void> {
    const { ports, random, signal, witness, name } = this.options;
    const caller = new Caller(ports, random);
    try {
      while (!signal.aborted) {
        await this.read(caller);
        await Bun.sleep(random() * PAUSE_MS);
      }
    } catch (error) {
      witness.problems.push(`${name}: ${(error as Error).message}`);
    } finally {
      caller.close();
    }
  }

  private async read(caller: Caller): Promise<void> {
    const { witness } = this.options;
    const { newest } = witness;
    if (newest === null) return;
    const { wallet, position } = newest;
    const path = `/check/${wallet}?after=${position}`;
    const answer: Answer | null = await caller.call(
      `GET ${path} HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`,
    );
    if (answer === null || LATER.has(answer.status)) return;
    if (answer.status === 200) witness.sawAfter(newest, seenIn(answer.body));
    else witness.problems.push(`GET ${path} was answered ${answer.status} ${answer.body}`);
  }
}
