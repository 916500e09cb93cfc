/**
 * The inputs of a claim, from where the group's progress stands: each is still the topic that the
 * progress was made on, or it is refused.
 *
 *   progress ──bounds, checksum of the last record done──> a cursor for each input
 */

import { LogError, type Progress } from "../event-log.ts";
import { inputProgress } from "../input-progress.ts";
import type { ClaimHost, ClaimPlace } from "./claim-host.ts";
import type { Cursor } from "./cursor.ts";
import { fetchFailed } from "./fetch-refusal.ts";
import { boundsAround, placeNow, readRange } from "./offsets.ts";

/**
 * In the order of the topics. Throws `position_out_of_range`, `topic_changed`, `unknown_topic`,
 * which name topic and offset, and `unavailable`.
 */
export async function openInputs(
  host: ClaimHost,
  claimed: ClaimPlace,
  progress: Progress | null,
): Promise<Cursor[]> {
  const opened = await Promise.allSettled(
    claimed.topics.map((topic) => openInput(host, { ...claimed, topic }, progress)),
  );
  const cursors = opened.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
  const failed = opened.find((each) => each.status === "rejected");
  if (failed === undefined) return cursors;
  for (const cursor of cursors) cursor.close();
  throw failed.reason;
}

interface Input extends Pick<ClaimPlace, "group" | "partition"> {
  readonly topic: string;
}

async function openInput(
  { names, connections, fetcher }: ClaimHost,
  input: Input,
  progress: Progress | null,
): Promise<Cursor> {
  const { group, topic, partition } = input;
  const named = { topic: names.topic(topic), partition };
  const done = inputProgress(progress, topic);
  const from = done?.nextOffset ?? 0n;
  const gone = (error: unknown) => {
    throw fetchFailed(named, from, error);
  };
  // The topic that is looked at here is the one that is read.
  const place = await placeNow(connections, named).catch(gone);
  const { start, end } = await boundsAround(connections, place, from).catch(gone);
  if (done === null) {
    if (start > 0n) throw truncated(input, start);
    return fetcher.open(place, start);
  }
  const { nextOffset, checksum } = done;
  if (nextOffset < start || nextOffset > end) {
    throw new LogError(
      "position_out_of_range",
      `${group} stands at offset ${nextOffset} of ${topic} partition ${partition}, which ` +
        `holds ${start} to ${end}: restore the topic, or start the group anew`,
    );
  }
  if (checksum !== null && nextOffset > start) {
    const range = { from: nextOffset - 1n, until: nextOffset };
    const [record] = await readRange(fetcher, place, range);
    if (record?.checksum !== checksum) throw changed(input, nextOffset);
  }
  return fetcher.open(place, nextOffset);
}

function truncated({ group, topic, partition }: Input, start: bigint): LogError {
  return new LogError(
    "position_out_of_range",
    `${group} has done nothing of ${topic} partition ${partition}, which begins at offset ` +
      `${start}: restore the topic, records before that are gone`,
  );
}

function changed({ group, topic, partition }: Input, nextOffset: bigint): LogError {
  return new LogError(
    "topic_changed",
    `offset ${nextOffset - 1n} of ${topic} partition ${partition} is not the record that ` +
      `${group} has done: the topic was made anew; restore it, or start the group anew`,
  );
}
