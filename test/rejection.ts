/**
 * What a promise is rejected with, for a test that expects it.
 *
 *   promise ──awaited──> its error | it was fulfilled: the test fails
 *
 * In place of `expect(...).rejects`: Bun 1.4 waits there in a loop of its own, which sleeps up to a
 * second over what other parts of the program have to do, and now and then never wakes.
 */

/** Throws when the promise is fulfilled. */
export async function rejection(promise: Promise<unknown>): Promise<Error> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if ("error" in outcome) return outcome.error as Error;
  throw new Error(`fulfilled, with ${Bun.inspect(outcome.value)}`);
}
