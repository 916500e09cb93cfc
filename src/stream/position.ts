/** A place in a stream, as people and clients see it: `<partition>-<offset>`, such as `3-17`. */

export interface Position {
  readonly partition: number;
  readonly offset: bigint;
}

export function formatPosition({ partition, offset }: Position): string {
  return `${partition}-${offset}`;
}

/** Null for anything but what `formatPosition` prints. */
export function parsePosition(text: string): Position | null {
  const match = /^(0|[1-9]\d{0,3})-(0|[1-9]\d{0,15})$/.exec(text);
  if (match === null) return null;
  return { partition: Number(match[1]), offset: BigInt(match[2] as string) };
}
