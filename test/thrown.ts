/**
 * What a call throws, for a test that expects it.
 *
 *   call ──made──> its error, of the kind that is meant | another, thrown on | none: the test fails
 */

export function thrown<E extends Error>(
  kind: abstract new (...parts: never[]) => E,
  call: () => unknown,
): E {
  try {
    call();
  } catch (error) {
    if (error instanceof kind) return error;
    throw error;
  }
  throw new Error(`threw no ${kind.name}`);
}
