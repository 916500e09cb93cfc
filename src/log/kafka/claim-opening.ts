/**
 * Opening a claim on Kafka: whoever had the partition before commits nothing more, and where the
 * last commit has left it is known.
 *
 *   begin under `<group>-<partition>` (another that opens it is fenced) ──> the newest progress
 *   names its writer, which is fenced ──> newest progress ──> this member's writer and the next
 *   epoch are written ──> nothing newer stands before that
 */

import { LogError, type Progress } from "../event-log.ts";
import { type ClaimEvents, KafkaClaim } from "./claim.ts";
import type { ClaimHost, ClaimPlace } from "./claim-host.ts";
import type { GroupWriter } from "./group-writer.ts";
import { boundsAround, recordBounds } from "./offsets.ts";
import { encodeStored, newestProgress, type StoredProgress } from "./progress-topic.ts";
import { unavailable } from "./retry.ts";
import { openTransactions } from "./transaction.ts";

/** That this member is to have the partition, as far as it knows. */
export interface ClaimRight {
  /** The partition is another's now. */
  readonly signal: AbortSignal;
  /**
   * Resolves once the group has said what this member is to run, or the signal fires: asked before
   * another's writer is fenced, since this member may have stood still for long.
   */
  confirm(): Promise<void>;
}

/**
 * Throws `unavailable`, `fenced` (two began at once), `corrupt`, and `topic_changed` or
 * `position_out_of_range` where the changelog and the progress are not of each other.
 */
export async function openClaim(
  host: ClaimHost,
  place: ClaimPlace,
  options: ClaimEvents & ClaimRight,
): Promise<KafkaClaim> {
  const { group, partition } = place;
  const { names, transactionConnections: connections, writers, nowMs } = host;
  const transactionalId = names.transactionalId(group, partition);
  const opener = await openTransactions({ ...options, connections, transactionalId, nowMs });
  const writer = await writers.current();
  let claim: KafkaClaim | null = null;
  const seat = { partition, lost: (error: LogError) => claim?.lost(error) };
  try {
    await writer.take(seat);
    const topic = names.progress(group);
    await opener.begin([{ topic, partition }]); // refused where another opens it by now
    const last = await fenceLast(host, place, { writer, right: options });
    const epoch = (last?.epoch ?? 0) + 1;
    const stored = { epoch, progress: last?.progress ?? null, writer: writer.id };
    await checkChangelog(host, place, stored.progress);
    if (writer.isOver) throw unclaimed(place);
    const record = { topic, partition, ...encodeStored(stored) };
    const [offset] = (await opener.write([record])) as [bigint];
    await checkNewest(host, place, { last, before: offset });
    await opener.commit();
    if (writer.isOver) throw unclaimed(place);
    writer.owe(seat, names.offsets(stored.progress?.inputs ?? [], partition));
    claim = new KafkaClaim(host, place, { ...options, writer, seat, stored });
    return claim;
  } catch (error) {
    writer.leave(seat);
    throw error;
  }
}

/**
 * The newest progress, to which nobody adds any more. Only one that opens the same claim could
 * have named another writer in between: it has fenced this opener.
 *
 * Where this member's own writer was the last, a holder has kept the partition for too long, and
 * what it has committed may not be readable yet: that writer ends, and the next try fences it.
 */
async function fenceLast(
  { names, connections, fetcher, writers }: ClaimHost,
  claimed: ClaimPlace,
  { writer, right }: { readonly writer: GroupWriter; readonly right: ClaimRight },
): Promise<StoredProgress | null> {
  const { group, partition } = claimed;
  const place = { topic: names.progress(group), partition };
  const last = await newestProgress(connections, fetcher, place);
  if (last === null || last.writer === null) return last;
  if (last.writer === writer.id) writer.retire();
  if (writer.isOver) throw unclaimed(claimed);
  await right.confirm();
  if (right.signal.aborted) throw unclaimed(claimed);
  await writers.fence(last.writer);
  return newestProgress(connections, fetcher, place);
}

/**
 * A leader that hung and was replaced tells for a moment what was newest before that. But only the
 * true one takes a record, and what stands before that record can be read there and nowhere else.
 */
async function checkNewest(
  { names, connections, fetcher }: ClaimHost,
  claimed: ClaimPlace,
  { last, before }: { readonly last: StoredProgress | null; readonly before: bigint },
): Promise<void> {
  const place = { topic: names.progress(claimed.group), partition: claimed.partition, before };
  if (isSame(await newestProgress(connections, fetcher, place), last)) return;
  throw unclaimed(claimed, "another leads the partition of its progress: its newest is read anew");
}

function isSame(one: StoredProgress | null, other: StoredProgress | null): boolean {
  if (one === null || other === null) return one === other;
  return Buffer.compare(encodeStored(one).value, encodeStored(other).value) === 0;
}

function unclaimed(
  { group, partition }: ClaimPlace,
  why = "this member's producer has come to its end, or the claim is not wanted",
): LogError {
  return unavailable(`claim partition ${partition} of ${group}`, new Error(why));
}

/**
 * Rows go on where they ended, or the next store that is built from them lacks what is gone.
 * Whatever the last owner had begun has ended by now, so that all it committed can be seen.
 */
async function checkChangelog(
  { names, connections, fetcher }: ClaimHost,
  { group, partition, changelog }: ClaimPlace,
  progress: Progress | null,
): Promise<void> {
  const place = { topic: names.topic(changelog), partition };
  if (progress === null) {
    const { topics } = await connections.metadata([place.topic]);
    if (topics[0] === undefined || topics[0].leaders.length === 0) return;
    const { start, end } = await recordBounds(connections, fetcher, place);
    if (end === start) return;
    throw new LogError(
      "topic_changed",
      `${group} has no progress in partition ${partition}, but rows up to offset ${end - 1n} of ` +
        `${changelog}: restore ${group}-progress, or start the group anew`,
    );
  }
  const { changelogOffset } = progress;
  if (changelogOffset === null) return;
  const { start, end } = await boundsAround(connections, place, changelogOffset + 1n);
  if (changelogOffset >= start && changelogOffset < end) return;
  throw new LogError(
    "position_out_of_range",
    `${group} has written to offset ${changelogOffset} of ${changelog} partition ${partition}, ` +
      `which holds ${start} to ${end}: restore the topic, or start the group anew`,
  );
}
