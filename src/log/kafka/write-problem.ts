/**
 * Why nothing could be written last, as far as is known.
 *
 *   failed batch ──text──> problem ──asked for: probe──> null once the brokers answer
 *   refused one ──topic, text──> problem ──asked for: rights──> null once they are there
 */

import type { Connections } from "./connections.ts";
import { messageOf } from "./retry.ts";

export class WriteProblem {
  private last: string | null = null;
  /** For lack of a right, which no broker's answer to another question tells of. */
  private refusal: { readonly topic: string; readonly text: string } | null = null;
  private probing: Promise<void> | null = null;

  constructor(private readonly connections: Connections) {}

  /** A batch was. */
  written(topic: string): void {
    this.last = null;
    if (this.refusal?.topic === topic) this.refusal = null;
  }

  failed(error: unknown): void {
    this.last = messageOf(error);
  }

  /** This user may not write to the topic. */
  refused(topic: string, error: unknown): void {
    this.refusal = { topic, text: messageOf(error) };
  }

  /**
   * Why the last batch was not written; null when it was, or when the brokers answer again, and
   * allow it: a service that is sent nothing while it is not ready must become ready all the same.
   */
  get text(): string | null {
    const text = this.last ?? this.refusal?.text ?? null;
    if (text !== null) this.probe();
    return text;
  }

  private probe(): void {
    const topics = this.refusal === null ? [] : [this.refusal.topic];
    this.probing ??= this.connections
      .metadata(topics, { tellsRights: true })
      .then(
        ({ topics: found }) => {
          this.last = null;
          if (found.some((each) => each.mayWrite === true)) this.refusal = null;
        },
        (error: unknown) => this.failed(error),
      )
      .finally(() => {
        this.probing = null;
      });
  }
}
