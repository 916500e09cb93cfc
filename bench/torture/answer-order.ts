/**
 * The order of acknowledgements: if A was answered before B was sent, A's offset in its partition
 * is lower than B's.
 *
 *   answer ──position──> highest of its partition      sending ──> what B must stand behind
 */

/** The highest offset of each partition that had been answered at one moment. */
export type AnsweredBefore = ReadonlyMap<number, bigint>;

export interface Place {
  readonly partition: number;
  readonly offset: bigint;
}

export class AnswerOrder {
  private readonly highest = new Map<number, bigint>();

  /** When a deposit is sent for the first time: later attempts may only stand behind more. */
  now(): AnsweredBefore {
    return new Map(this.highest);
  }

  /** When a deposit is answered. Null, or what is wrong with where it stands. */
  answered(position: string, before: AnsweredBefore): string | null {
    const { partition, offset } = placeOf(position);
    if (offset > (this.highest.get(partition) ?? -1n)) this.highest.set(partition, offset);
    const floor = before.get(partition);
    if (floor === undefined || offset > floor) return null;
    return `${position} was sent after ${partition}-${floor} was answered, and stands before it`;
  }
}

/** Of `<partition>-<offset>`. */
export function placeOf(position: string): Place {
  const [partition = "", offset = ""] = position.split("-");
  return { partition: Number(partition), offset: BigInt(offset) };
}
