/**
 * Giving up a move that is not done: the folder takes records again.
 *
 *   folder ──its seal not done──> seal taken off; what was copied stays, and nobody starts on it
 *
 * The folder's own seal decides, in one transaction, and `migrate` says that it is done there
 * before it says so in the target: so there is no moment at which both are live, and a cluster
 * that is gone for good is not needed.
 */

import { topologyOf } from "../app.ts";
import { openEmbeddedLog } from "../log/embedded/embedded-log.ts";
import { TopicNames } from "../log/kafka/names.ts";
import { topicSpecs } from "../stream/topology.ts";
import { lockFolder } from "./migration-lock.ts";
import { AdministrationError } from "./administration-error.ts";

export interface GivenUp {
  /** Where the log was being moved to; null: it was not, and nothing was to be done. */
  readonly movedTo: string | null;
  /** Topics that the move may have left there. */
  readonly leftTopics: readonly string[];
}

/**
 * Throws AdministrationError `in_use` while `migrate` runs, `moved_elsewhere` once the move is
 * done; LogError.
 */
export async function giveUpMove(options: {
  readonly folder: string;
  readonly nowMs: () => number;
}): Promise<GivenUp> {
  const { folder } = options;
  const source = openEmbeddedLog(options);
  try {
    const lock = lockFolder(folder);
    try {
      const seal = await source.removeUnfinishedSeal();
      if (seal === null) return { movedTo: null, leftTopics: [] };
      if (!seal.isDone) {
        const { movedTo, prefix = "" } = seal;
        return { movedTo, leftTopics: topicsOf(source.settings, prefix) };
      }
      throw new AdministrationError(
        "moved_elsewhere",
        `the log in ${folder} was moved to ${seal.movedTo}, and all of it is there: deposits may ` +
          "have been taken there since, which are not here. Go on there",
      );
    } finally {
      lock.release();
    }
  } finally {
    await source.close();
  }
}

function topicsOf(settings: Readonly<Record<string, string>>, prefix: string): readonly string[] {
  const topology = topologyOf(Number(settings["decimals"]));
  const partitions = Number(settings["partitions"]);
  const names = new TopicNames(prefix);
  const declared = topicSpecs(topology, { partitions, keepsChangelogs: true });
  return [
    ...declared.map(({ name }) => names.topic(name)),
    ...topology.groups.map(({ name }) => names.progress(name)),
    names.meta,
  ];
}
