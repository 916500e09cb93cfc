/**
 * Records for some groups alone: a header names them, and every other group that reads the topic
 * passes the record by. It is how a dead letter is taken again by the group that refused it, and
 * not once more by those that did not.
 *
 *   headers ──none of this name, or one that names the group?──> taken; else passed by
 */

import type { Headers } from "../log/event-log.ts";

/** Its value is a group's name as UTF-8; it may repeat. */
export const FOR_GROUP_HEADER = "for-group";

const decoder = new TextDecoder();

export function isFor(group: { readonly name: string }, headers: Headers): boolean {
  let isMarked = false;
  for (const [name, value] of headers) {
    if (name !== FOR_GROUP_HEADER) continue;
    if (decoder.decode(value) === group.name) return true;
    isMarked = true;
  }
  return !isMarked;
}
