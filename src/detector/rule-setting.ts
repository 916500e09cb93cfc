/**
 * Setting the rule: one version, the same in every partition, whoever sets it and however often it
 * is interrupted.
 *
 *   what stands ──incomplete? completed──> next number ──> partition 0 ──first of it?──> the others
 *
 * Partition 0 decides. The first record of a number there is that version, and only then it is
 * written to the others: of two operators at once one is told that the other was faster, and no
 * partition ever holds what was not decided. What an interruption left undone, the next one does:
 * a copy too many changes nothing.
 */

import { actorProblem } from "../flagger/flag-wallet.ts";
import type { View } from "../stream/view.ts";
import type { Rule } from "./late-window.ts";
import {
  allVersions,
  firstRule,
  isSameVersion,
  type NewRuleVersion,
  ruleProblem,
  ruleReasonProblem,
} from "./rule-versions.ts";

export type RuleErrorCode =
  | "invalid_rule"
  | "invalid_actor"
  | "invalid_reason"
  /** Another operator set a version at the same time, and was faster. Nothing has changed. */
  | "set_meanwhile"
  /** Written, and the detector did not take it. */
  | "not_taken";

/** The one error of this layer. The message can be shown to the operator. */
export class RuleError extends Error {
  override readonly name = "RuleError";
  constructor(
    readonly code: RuleErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** A version as it stands. */
export interface StandingVersion extends Rule {
  /** Who set it, why and when; null for version 1, which nobody set. */
  readonly set: Pick<NewRuleVersion, "actor" | "reason" | "atMs"> | null;
  /** By partition, where its record stands; null: it is not there. Empty for version 1. */
  readonly offsets: readonly (bigint | null)[];
  /** Partitions that have something else under its number: this program never writes such. */
  readonly differsIn: readonly number[];
  /** In force in every partition. */
  readonly isComplete: boolean;
}

/** What partition 0 has, in order; the last is the newest. As of what the detector has done. */
export function standingVersions(
  view: Pick<View, "readPartition">,
  { partitions, decimals }: { readonly partitions: number; readonly decimals: number },
): readonly [StandingVersion, ...StandingVersion[]] {
  const all = Array.from({ length: partitions }, (_, partition) =>
    view.readPartition(partition, allVersions),
  );
  const standing = (all[0] ?? []).map((decided): StandingVersion => {
    const { number: version, windowMs, limitMinor, actor, reason, atMs } = decided;
    const found = all.map((rows) => rows.find(({ number }) => number === version) ?? null);
    const offsets = found.map((row) => row?.offset ?? null);
    const differsIn = found.flatMap((row, partition) =>
      row === null || isSameVersion(row, decided) ? [] : [partition],
    );
    const isComplete = !offsets.includes(null) && differsIn.length === 0;
    const set = { actor, reason, atMs };
    return { version, windowMs, limitMinor, set, offsets, differsIn, isComplete };
  });
  const first = { ...firstRule(decimals), set: null, offsets: [], differsIn: [], isComplete: true };
  return [first, ...standing];
}

export interface RuleRequest {
  /** What is left out stays as it is. */
  readonly windowMs: number | null;
  readonly limitMinor: bigint | null;
  readonly actor: string;
  readonly reason: string;
  /** Unix milliseconds. */
  readonly atMs: number;
  /** A version that was interrupted is in every partition now. */
  readonly onCompleted: (version: number) => void;
  /** Once, before the other partitions are waited for: the version stands, whatever fails then. */
  readonly onDecided: (decided: StandingVersion) => void;
}

/** What setting works with. */
export interface RuleSetting {
  /** As of everything that is settled. */
  standing(): readonly [StandingVersion, ...StandingVersion[]];
  /**
   * Writes a version's record into these partitions, and resolves once they are settled; `version`
   * names it if that fails.
   */
  write(version: NewRuleVersion, partitions: readonly number[]): Promise<void>;
}

export interface RuleSet {
  readonly standing: StandingVersion;
  /** `unchanged`: the rule was so already. */
  readonly outcome: "set" | "unchanged";
  /** A version that was interrupted, and that this has completed. */
  readonly completed: number | null;
}

/** Throws RuleError; also before anything is known, so that nothing is waited for in vain. */
export function checkRuleRequest(request: Pick<RuleRequest, "actor" | "reason">): void {
  check("invalid_actor", actorProblem(request.actor));
  check("invalid_reason", ruleReasonProblem(request.reason));
}

/** All that was written before must be settled. Throws RuleError, and what `write` throws. */
export async function setRule(request: RuleRequest, setting: RuleSetting): Promise<RuleSet> {
  checkRuleRequest(request);
  check("invalid_rule", ruleProblem(ruleAfter(newestOf(setting.standing()), request)));
  const completed = await completeRule(setting);
  if (completed !== null) request.onCompleted(completed);
  const before = newestOf(setting.standing());
  const { windowMs, limitMinor } = ruleAfter(before, request);
  const isSame = before.windowMs === windowMs && before.limitMinor === limitMinor;
  if (isSame && before.differsIn.length === 0) {
    return { standing: before, outcome: "unchanged", completed };
  }
  const { actor, reason, atMs } = request;
  const version = { number: before.version + 1, windowMs, limitMinor, actor, reason, atMs };
  await setting.write(version, [0]);
  const decided = setting.standing()[version.number - 1];
  if (decided === undefined) throw notTaken(version.number, 0);
  if (!isOf(decided, version)) throw setMeanwhile(decided);
  request.onDecided(decided);
  await completeRule(setting);
  // By its number: another may have set a newer one meanwhile.
  return { standing: setting.standing()[version.number - 1] ?? decided, outcome: "set", completed };
}

/** The version that was completed; null where none had to be. Throws as `setRule`. */
export async function completeRule(setting: RuleSetting): Promise<number | null> {
  let completed: number | null = null;
  for (const { version: number, windowMs, limitMinor, set, offsets } of setting.standing()) {
    const without = offsets.flatMap((offset, partition) => (offset === null ? [partition] : []));
    if (set === null || without.length === 0) continue;
    await setting.write({ number, windowMs, limitMinor, ...set }, without);
    const after = setting.standing()[number - 1]?.offsets ?? [];
    const missing = after.indexOf(null);
    if (missing >= 0) throw notTaken(number, missing);
    completed = number;
  }
  return completed;
}

function newestOf(versions: readonly [StandingVersion, ...StandingVersion[]]): StandingVersion {
  return versions.at(-1) ?? versions[0];
}

/** What is left out stays as it is. */
function ruleAfter(before: StandingVersion, request: RuleRequest) {
  return {
    windowMs: request.windowMs ?? before.windowMs,
    limitMinor: request.limitMinor ?? before.limitMinor,
  };
}

function isOf({ version, windowMs, limitMinor, set }: StandingVersion, wanted: NewRuleVersion) {
  return set !== null && isSameVersion({ number: version, windowMs, limitMinor, ...set }, wanted);
}

function setMeanwhile({ version, set }: StandingVersion): RuleError {
  return new RuleError(
    "set_meanwhile",
    `version ${version} was set by ${set?.actor ?? "another"} at the same time, and a moment ` +
      "before: nothing of yours is in force; look with `rules`, and set yours again if you still " +
      "want it",
  );
}

function notTaken(number: number, partition: number): RuleError {
  return new RuleError(
    "not_taken",
    `version ${number} is written, and the detector did not take it in partition ${partition}: ` +
      "look for it among its dead letters; does an older version of this program run there?",
  );
}

function check(code: RuleErrorCode, problem: string | null): void {
  if (problem !== null) throw new RuleError(code, problem);
}
