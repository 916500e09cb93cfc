/**
 * The detector's rule as commands have it: what stands, how it is set, and what another would do.
 *
 *   threshold-table ──rows of the partitions──> versions ──> `rules`
 *   `rules set` ──control records──> deposit          deposit ──read again──> `backtest`
 */

import { depositStream } from "../deposits/deposit.ts";
import { controlRecord } from "../stream/control.ts";
import type { Group } from "../stream/group.ts";
import type { StreamPosition } from "../stream/settling.ts";
import type { View } from "../stream/view.ts";
import {
  backtest,
  type BacktestRequest,
  type BacktestResult,
  type BacktestSource,
} from "./backtest.ts";
import {
  checkRuleRequest,
  completeRule,
  type RuleRequest,
  type RuleSet,
  type RuleSetting,
  setRule,
  type StandingVersion,
  standingVersions,
} from "./rule-setting.ts";
import { ruleControl, ruleProblem, versionMessage } from "./rule-versions.ts";

/** Resolves once these are settled; `written` names what stands if that fails. */
export type SettleRule = (
  positions: readonly StreamPosition[],
  written: string,
) => Promise<void>;

export interface Rules {
  /** Version 1 and those that were set, in order, as of what the detector has done. */
  standing(): readonly [StandingVersion, ...StandingVersion[]];
  /** Null when a rule can be such a one; otherwise why not. */
  problem: typeof ruleProblem;
  /** Throws RuleError. */
  check: typeof checkRuleRequest;
  /** Everything that was written before must be settled. Throws RuleError, and as `append`. */
  set(request: RuleRequest, settle: SettleRule): Promise<RuleSet>;
  /** The version whose interrupted writing was completed; null where none was. Throws as `set`. */
  complete(settle: SettleRule): Promise<number | null>;
  /** Reads the log alone, and changes nothing. Throws as `EventLog.read` does. */
  backtest(request: BacktestRequest): Promise<BacktestResult>;
}

export function rulesOf(options: {
  readonly log: BacktestSource["log"] & {
    append(records: readonly ReturnType<typeof controlRecord>[]): Promise<readonly bigint[]>;
  };
  /** Before the first control record: older programs do not know such. */
  readonly raiseFormat: () => Promise<void>;
  /** Of the detector. */
  readonly view: Pick<View, "readPartition">;
  readonly group: Group;
  readonly partitions: number;
  readonly decimals: number;
}): Rules {
  const { log, view, raiseFormat } = options;
  const { topic } = depositStream;
  const standing = () => standingVersions(view, options);
  const settingWith = (settle: SettleRule): RuleSetting => ({
    standing,
    write: async (version, partitions) => {
      const message = versionMessage(version);
      const records = partitions.map((partition) =>
        controlRecord({ topic, partition }, ruleControl, message),
      );
      await raiseFormat();
      const offsets = await log.append(records);
      const positions = records.map(({ partition }, i) => {
        return { topic, partition, offset: offsets[i] as bigint };
      });
      await settle(positions, `version ${version.number} (\`rules set --complete\` completes it)`);
    },
  });
  return {
    standing,
    problem: ruleProblem,
    check: checkRuleRequest,
    set: (request, settle) => setRule(request, settingWith(settle)),
    complete: (settle) => completeRule(settingWith(settle)),
    backtest: (request) => backtest(request, options),
  };
}
