/** The one error of importing, and what the system says in words. */

export type ImportErrorCode =
  /** The file is not there, is no file, or cannot be read; or what is written aside cannot be. */
  | "unreadable"
  /** The content as a whole cannot be imported: damaged gzip, a header that does not fit. */
  | "bad_content"
  /** Lines are bad, each was named, and nothing was imported. */
  | "bad_lines"
  /** The content was another one when it was read again. */
  | "changed"
  /** A record that was written was neither counted nor found to be a repeat or a conflict. */
  | "not_counted"
  /** The signal fired. What was written stands. */
  | "stopped";

/** The message gives fact, value and what to do. */
export class ImportError extends Error {
  override readonly name = "ImportError";
  constructor(
    readonly code: ImportErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/** Why a file could not be opened, read or written. */
export function reasonOf(error: unknown): string {
  const { code, message } = error as { code?: string; message: string };
  if (code === "ENOENT") return "it is not there";
  if (code === "EISDIR") return "it is a folder";
  if (code === "EACCES") return "permission denied";
  if (code === "ENOSPC") return "the disk is full";
  return message;
}
