/**
 * What operators did about dead letters, as it is written when a log moves.
 *
 *   mark: refused record, replayed as ──places in the target──> mark
 *
 * The letters themselves are not copied: the groups refuse the same records again there, and a
 * mark finds its letter by the name of the refused record, wherever the letter stands.
 */

import type { LogRecord } from "../log/event-log.ts";
import type { RecordContent } from "../log/exact-copy.ts";
import { readMark, toMark } from "../stream/dead-letter-mark.ts";
import type { StreamPosition } from "../stream/settling.ts";

/**
 * Null for a letter, and for a mark whose record is not in the target: it is not refused there.
 * `moved` says where a record stands in the target; null where it is not there.
 */
export function movedMark(
  record: LogRecord,
  group: { readonly name: string },
  moved: (place: StreamPosition) => StreamPosition | null,
): RecordContent | null {
  const found = readMark(record);
  if (found === null) return null;
  const refused = moved(found.refused);
  if (refused === null) return null;
  const { as, ...rest } = found.mark;
  const { topic } = refused;
  const movedAs = as === null ? null : moved({ topic, ...as });
  return toMark(group, refused, {
    ...rest,
    as: movedAs === null ? null : { partition: movedAs.partition, offset: movedAs.offset },
  });
}
