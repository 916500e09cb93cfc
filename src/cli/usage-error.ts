/** What the user typed or set is wrong: exit code 2. The message says what is wanted instead. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The command was understood and could not be done: exit code 1. */
export class CommandError extends Error {
  override readonly name = "CommandError";
}
