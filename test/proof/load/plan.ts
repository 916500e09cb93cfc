/** A small load, for tests to vary. */

import type { LoadPlan } from "../../../src/proof/load/load-plan.ts";

export function planOf(other: Partial<LoadPlan> = {}): LoadPlan {
  return {
    url: new URL("http://127.0.0.1:1"),
    ca: null,
    apiKey: null,
    workers: 2,
    ratePerSecond: null,
    mix: { deposit: 1 },
    wallets: 10,
    walletPrefix: "load-",
    skew: 0,
    amounts: { leastMinor: 1n, mostMinor: 9_999n, decimals: 2 },
    hasKeys: false,
    warmUpMs: 0,
    durationMs: 100,
    timeoutMs: 5_000,
    seed: 1,
    verifies: false,
    ...other,
  };
}
