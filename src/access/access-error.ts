/** What is wrong with keys of the API, or the file that they lie in. */

export type AccessErrorCode =
  /** A name, a scope or a line that cannot be one. */
  | "invalid_name"
  | "broken_keys"
  /** The file is not there, cannot be read, or cannot be written. */
  | "file_unavailable"
  /** Others than its owner and group can read it, or others than its owner can write it. */
  | "file_open_to_others"
  /** Another command writes it. */
  | "file_busy"
  | "name_taken"
  | "unknown_name";

/** The message says what to do, and never holds a secret. */
export class AccessError extends Error {
  override readonly name = "AccessError";
  constructor(
    readonly code: AccessErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}
