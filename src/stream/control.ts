/**
 * Control records: what an operator says to every partition of a stream at once, in the order of
 * its records. One has no key, so that no key's partition is its own; it stands in each partition
 * once, and says by a header what kind it is.
 *
 *   message ──codec──> record without a key, with a header ──group's `apply`──> partition's rows
 *
 * After Kafka's own control batches, which stand between records in the same way; different from
 * them, these are a domain's, and a group's rows follow them.
 */

import type { LogRecord, NewRecord } from "../log/event-log.ts";
import type { Codec } from "./codec.ts";

/** Its value is the control's name as UTF-8. */
export const CONTROL_HEADER = "control";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The name of a record's control; null for any other record. */
export function controlOf({ key, headers }: Pick<LogRecord, "key" | "headers">): string | null {
  if (key.length > 0) return null;
  const header = headers.find(([name]) => name === CONTROL_HEADER);
  return header === undefined ? null : decoder.decode(header[1]);
}

/** To be appended; with an `append` of its own where it must be first. */
export function controlRecord<C>(
  place: { readonly topic: string; readonly partition: number },
  control: { readonly name: string; readonly codec: Codec<C> },
  message: C,
): NewRecord {
  return {
    ...place,
    key: new Uint8Array(),
    value: control.codec.encode(message),
    headers: [[CONTROL_HEADER, encoder.encode(control.name)]],
  };
}
