/**
 * Where a verification is, and what it may say there: a group in one partition, and one wallet of
 * it.
 *
 *   group's state, findings ──at a wallet──> differences that name table, wallet and position
 */

import { formatPosition } from "../../stream/position.ts";
import type { Difference, DifferenceKind, Findings } from "./findings.ts";
import type { ArrivalTopic } from "./scratch.ts";

/** What a group has done in a partition. */
export interface GroupPlace {
  readonly group: "balance" | "threshold" | "flagger";
  readonly partition: number;
  /** Its one input. */
  readonly topic: ArrivalTopic;
  /** Among the takers of a record. */
  readonly bit: number;
  /** The next offset of its input, as committed: 0 when it never ran. */
  readonly committed: number;
  /** The next offset of its input up to which the table that is compared is folded. */
  readonly folded: number;
  readonly findings: Findings;
}

/** `<topic>:<partition>-<offset>`. */
export function positionText(topic: string, partition: number, offset: number | bigint): string {
  return `${topic}:${formatPosition({ partition, offset: BigInt(offset) })}`;
}

export interface WalletPlace extends GroupPlace {
  readonly wallet: string;
}

/** Of a wallet; `offset` is of the group's input. */
export function differ(
  at: GroupPlace & { readonly wallet?: string },
  difference: Pick<Difference, "expected" | "found"> & {
    readonly kind: DifferenceKind;
    readonly where: string;
    readonly offset: number | null;
  },
): void {
  const { offset, ...rest } = difference;
  const position = offset === null ? null : positionText(at.topic, at.partition, offset);
  at.findings.differ({ ...rest, partition: at.partition, wallet: at.wallet ?? null, position });
}
