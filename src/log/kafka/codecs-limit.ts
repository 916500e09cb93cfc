/** How much one record batch may hold once it is decompressed. */

/**
 * A broker takes batches of 1 MB, compressed; records that repeat each other shrink to a
 * hundredth. What claims more was made to fill the memory of whoever reads it.
 */
export const MAX_BATCH_BYTES = 134_217_728;
