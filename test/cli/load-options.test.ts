/** What `load` takes, and what it says of what it does not. */

import { describe, expect, test } from "bun:test";
import { type LoadFlags, loadPlan } from "../../src/cli/load-options.ts";
import { UsageError } from "../../src/cli/usage-error.ts";

const URL_TEXT = "http://127.0.0.1:8080";
const FLAGS: LoadFlags = {
  workers: "64",
  mix: "deposit=1",
  wallets: "1000",
  walletPrefix: "load-",
  skew: "0",
  amount: "0.01..99.99",
  duration: "30s",
  warmUp: "3s",
  timeout: "30s",
};

describe("load", () => {
  test("takes times, shares and ranges as they are written", () => {
    const plan = loadPlan(URL_TEXT, {
      ...FLAGS,
      ...{ mix: "deposit=8,check=2", amount: "5..7.25", skew: "0.9", rate: "5000" },
      ...{ duration: "5m", warmUp: "500ms", seed: "0" },
    });
    expect(plan).toMatchObject({
      mix: { deposit: 8, check: 2 },
      amounts: { leastMinor: 500n, mostMinor: 725n, decimals: 2 },
      ...{ skew: 0.9, ratePerSecond: 5_000, durationMs: 300_000, warmUpMs: 500, seed: 0 },
    });
    expect(loadPlan(URL_TEXT, { ...FLAGS, amount: "12" }).amounts).toEqual({
      ...{ leastMinor: 12n, mostMinor: 12n, decimals: 0 },
    });
  });

  const wrong: readonly (readonly [keyof LoadFlags, string])[] = [
    ["workers", "0"],
    ["workers", "10001"],
    ["rate", "0"],
    ["rate", "1.5"],
    ["mix", "depost=1"],
    ["mix", "deposit"],
    ["mix", "deposit=0"],
    ["mix", "deposit=1,deposit=2"],
    ["wallets", "-1"],
    ["walletPrefix", "a/b"],
    ["walletPrefix", ""],
    ["skew", "11"],
    ["amount", "5..1"],
    ["amount", "1..2..3"],
    ["amount", "-1"],
    ["amount", "1e3"],
    ["amount", "0.01..99999999.99"],
    ["duration", "5"],
    ["duration", "0s"],
    ["warmUp", "1d"],
    ["seed", "4294967296"],
  ];
  test.each(wrong)("says what is wrong with --%s %s", (name, text) => {
    const option = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    expect(() => loadPlan(URL_TEXT, { ...FLAGS, [name]: text })).toThrow(UsageError);
    expect(() => loadPlan(URL_TEXT, { ...FLAGS, [name]: text })).toThrow(option);
  });

  test.each(["127.0.0.1:8080", "ftp://host", `${URL_TEXT}/x`, `${URL_TEXT}?a=1`, ""])(
    "refuses %p as the address of a service",
    (text) => {
      expect(() => loadPlan(text, FLAGS)).toThrow("write one like http://127.0.0.1:8080");
    },
  );
});
