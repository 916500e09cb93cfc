/**
 * The end of processors that run side by side: one that fails to end well must neither cut the
 * others' batches nor go unheard.
 *
 *   processors ──stop, each to its end──> the first failure is thrown
 */

/** Throws what the first of them throws, once all have ended. */
export async function stopProcessors(
  processors: readonly { stop(): Promise<void> }[],
): Promise<void> {
  const ends = await Promise.allSettled(processors.map((processor) => processor.stop()));
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}
