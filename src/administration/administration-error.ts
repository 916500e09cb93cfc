/** What stops a command that looks after a log as a whole. */

export type AdministrationErrorCode =
  /** A partition count that differs; it never changes under existing data. */
  | "partitions_fixed"
  /** The target was created with other settings than the source. */
  | "settings_mismatch"
  /** The target holds something that does not come from the source. */
  | "not_empty"
  /** Somebody has the source open, processes the target, or moves the same log. */
  | "in_use"
  /** The source was moved to another place before. */
  | "moved_elsewhere"
  | "interrupted";

/** The one error of this layer. The message gives fact, value, and what to do. */
export class AdministrationError extends Error {
  override readonly name = "AdministrationError";
  constructor(
    readonly code: AdministrationErrorCode,
    message: string,
  ) {
    super(message);
  }
}
