/**
 * Being a member of a group: claims as its partitions come to this process.
 *
 *   membership ──granted──> claims ──yielded──> holder      signal ──> revoked, given back, left
 */

import { type Claim, type JoinOptions, LogError } from "../event-log.ts";
import type { Catalog } from "./catalog.ts";
import { EmbeddedClaim } from "./claim.ts";
import { Grants } from "./grants.ts";
import type { LogFile } from "./log-file.ts";

/** A member that leaves waits so long for its running batches, then lets them be fenced. */
const RELEASE_WITHIN_MS = 3_000;

export interface JoinHost {
  readonly file: LogFile;
  readonly keepsChangelogs: boolean;
}

/** Throws `unknown_topic`, `topic_mismatch`; `unavailable` when members cannot be read. */
export async function* joinGroup(
  host: JoinHost,
  options: JoinOptions,
): AsyncGenerator<Claim> {
  const { membership, closing, catalog } = host.file;
  const { group, topics, signal } = options;
  const partitions = commonPartitions(catalog, topics);
  const grants = new Grants<EmbeddedClaim>();
  const ending = AbortSignal.any([signal, closing]);
  await membership.join({
    group,
    partitions,
    grants,
    isStandIn: options.standIn ?? false,
    wants: (partition) => !signal.aborted && (options.wants?.(partition) ?? true),
    granted: (partition, epoch) =>
      grants.add(createClaim(host, options, { grants, partition, epoch })),
    failed: (error) => grants.fail(error),
  });
  try {
    for (;;) {
      const claim = await grants.next(ending);
      if (claim === null) break;
      yield claim;
    }
    grants.revokeAll();
    await whenGivenBack(grants, closing);
  } finally {
    grants.revokeAll();
    await membership.leave(group);
  }
}

/** A holder may be before its commit, which would be fenced if the group were left now. */
async function whenGivenBack(grants: Grants<EmbeddedClaim>, closing: AbortSignal): Promise<void> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), RELEASE_WITHIN_MS);
  await grants.whenGivenBack(AbortSignal.any([late.signal, closing]));
  clearTimeout(timer);
}

function createClaim(
  { file, keepsChangelogs }: JoinHost,
  options: JoinOptions,
  granted: {
    readonly grants: Grants<EmbeddedClaim>;
    readonly partition: number;
    readonly epoch: number;
  },
): EmbeddedClaim {
  const { reader, records, catalog, changes, membership, progressRows } = file;
  const { group, topics } = options;
  const { grants, partition, epoch } = granted;
  catalog.refresh();
  const changelog = keepsChangelogs ? options.changelog : null;
  const progress = progressRows.read(group, partition);
  return new EmbeddedClaim(
    {
      ...{ reader, records, catalog, changes, membership },
      transact: (bytes, run) => file.transact(bytes, run),
      storeProgress: (...args) => progressRows.write(...args),
      release: async (claim) => {
        if (!grants.giveBack(claim) || file.isClosed) return;
        await membership.release(group, partition, epoch);
      },
    },
    { group, partition, epoch, topics, changelog, progress },
  );
}

function commonPartitions(catalog: Catalog, topics: readonly string[]): number {
  const counts = topics.map((topic) => {
    catalog.find(topic, 0);
    return catalog.spec(topic)?.partitions ?? 0;
  });
  const [first] = counts;
  if (first === undefined || counts.some((count) => count !== first)) {
    throw new LogError(
      "topic_mismatch",
      `topics ${topics.join(", ")} must have one number of partitions: ${counts.join(", ")}`,
    );
  }
  return first;
}
