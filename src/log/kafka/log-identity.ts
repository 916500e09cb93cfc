/**
 * Which log a cluster has: found in `log-meta`, or written there where there is none.
 *
 *   log-meta ──> incarnation and settings, which must agree with what was said
 */

import { LogError } from "../event-log.ts";
import { refuseUnfinishedMove } from "../moving.ts";
import { type LogIdentity, META_SPEC } from "./log-meta.ts";
import type { KafkaLogOptions, LogParts } from "./log-parts.ts";
import { declared } from "./topics.ts";

/** Throws `not_found`, `settings_mismatch`, `unusable_place`, `topic_mismatch`, `moved`. */
export async function openIdentity(
  parts: LogParts,
  options: KafkaLogOptions,
): Promise<LogIdentity & { readonly wasCreated: boolean }> {
  const { topics, names, meta } = parts;
  const existing = await topics.describe([names.meta]);
  if (existing.size === 0 && !options.create) throw notFound(options);
  await topics.ensure([declared(names.meta, { name: names.meta, ...META_SPEC })]);
  let wasCreated = false;
  let identity = await meta.identity();
  if (identity === null) {
    if (!options.create) throw notFound(options);
    await refuseOrphans(parts, options);
    [identity, wasCreated] = await meta.create({ ...options.defaults, ...options.settings });
  }
  for (const [name, value] of Object.entries(options.settings)) {
    const found = identity.settings[name];
    if (found === value) continue;
    throw new LogError(
      "settings_mismatch",
      `the log in the cluster was created with ${name} ${found}, not ${value}: leave the ` +
        "setting out, or use another --prefix",
    );
  }
  if (options.isMoving !== true) await refuseUnfinishedMove({ meta: (key) => meta.get(key) });
  return { ...identity, wasCreated };
}

/** Settings that are made up anew could read every amount there wrongly. */
async function refuseOrphans(parts: LogParts, options: KafkaLogOptions): Promise<void> {
  const { topics, names, meta } = parts;
  const found = await topics.describe((options.ownTopics ?? []).map((each) => names.topic(each)));
  if (found.size === 0) return;
  if ((await meta.identity()) !== null) return; // another process has just made log and topics
  throw new LogError(
    "unusable_place",
    `the cluster has ${[...found.keys()].join(", ")} but no ${names.meta}, which says how to ` +
      "read them: restore it, or use another --prefix",
  );
}

function notFound({ brokers, prefix }: KafkaLogOptions): LogError {
  const where = prefix === "" ? "" : ` under the prefix ${prefix}`;
  return new LogError(
    "not_found",
    `there is no log in the cluster at ${brokers.join(", ")}${where}: \`serve\` or \`process\` ` +
      "makes one",
  );
}
