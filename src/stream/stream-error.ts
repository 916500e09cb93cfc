/** The engine's one error. The message gives fact, value and what to do. */

export type StreamErrorCode =
  /** A store is of another log or format, or damaged: it is of no use, and is built anew. */
  | "store_mismatch"
  /** A store is ahead of the log's progress: the log was set back, or lacks its end. */
  | "store_ahead"
  /** The store's file cannot be read or written now: locked, no space, no right. */
  | "store_unavailable"
  /** Another member has the store's partition. */
  | "store_fenced"
  /** The groups form a cycle, or a declaration contradicts another. */
  | "bad_topology"
  /** A callback emitted to a stream, or touched a row kind, that its group does not declare. */
  | "undeclared"
  /** The view was closed. */
  | "closed"
  /** What was waited for did not come in time. */
  | "not_settled"
  /** A callback threw: its partition stands at that record. */
  | "rule_failed";

export class StreamError extends Error {
  override readonly name = "StreamError";
  constructor(
    readonly code: StreamErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/** What stops a partition: names the record, so that an operator can look at it. */
export function ruleFailed(
  group: string,
  record: { topic: string; partition: number; offset: bigint } | undefined,
  cause: Error,
): StreamError {
  const place = `${record?.topic} partition ${record?.partition} offset ${record?.offset}`;
  return new StreamError(
    "rule_failed",
    `${group} stopped at ${place}: ${cause.message}; mend the rule and start again: ` +
      "it goes on there",
    { cause },
  );
}
