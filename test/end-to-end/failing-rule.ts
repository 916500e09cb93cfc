/**
 * Loaded before the program: its collector then throws at one wallet's deposits, its detector
 * at a new version of the rule.
 *
 *   bun --preload failing-rule.ts src/main.ts ...
 */

import { balanceGroup } from "../../src/collector/collector.ts";
import { ruleControl } from "../../src/detector/rule-versions.ts";
import type { Input } from "../../src/stream/group.ts";

const [input] = balanceGroup.inputs as [Input<unknown>];
const { callback } = input;

Object.assign(input, {
  callback: ((context, message) => {
    if (context.record.key === "bad-wallet") throw new Error("this wallet is not understood");
    callback(context, message);
  }) satisfies Input<unknown>["callback"],
});

Object.assign(ruleControl, {
  apply: () => {
    throw new Error("this version is not understood");
  },
});
