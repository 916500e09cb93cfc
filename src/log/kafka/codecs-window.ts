/** What snappy and LZ4 share: a copy of bytes that were decompressed a moment ago. */

/**
 * Copies within a buffer from `distance` bytes before `at`. Source and target may overlap: a run
 * repeats what it has just written. Throws RangeError when it would leave the buffer.
 */
export function copyBack(
  buffer: Buffer,
  copy: { readonly at: number; readonly distance: number; readonly size: number },
): void {
  const { at, distance, size } = copy;
  if (distance === 0 || distance > at || at + size > buffer.length) {
    throw new RangeError(`a copy of ${size} bytes from ${distance} back leaves its block at ${at}`);
  }
  const from = at - distance;
  if (size <= distance) {
    buffer.copyWithin(at, from, from + size);
    return;
  }
  for (let index = 0; index < size; index += 1) buffer[at + index] = buffer[from + index] as number;
}
