/** A promise that was broken: it ends the run, and is what a simulation looks for. */

export class Violation extends Error {
  override readonly name = "Violation";
  constructor(
    /** Short, the same for the same promise: what a shrunk plan must break, too. */
    readonly invariant: string,
    message: string,
  ) {
    super(`${invariant}: ${message}`);
  }
}
