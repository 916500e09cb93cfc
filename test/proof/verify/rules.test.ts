import { afterEach, describe, expect, test } from "bun:test";
import { ruleControl, versionMessage } from "../../../src/detector/rule-versions.ts";
import { RULE_VERSION_FORMAT } from "../../../src/proof/verify/row-formats.ts";
import { controlRecord } from "../../../src/stream/control.ts";
import { splitRowKey } from "../../../src/stream/row-key.ts";
import type { StoredRow } from "../../../src/stream/store.ts";
import type { Tester } from "../../../src/stream/tester.ts";
import { BASE_MS, type Hand, PARTITIONS, played, type Step, verified } from "./histories.ts";

/** Of ana 9,000.00 within five minutes: over the second version's limit, not over the first's. */
const deposit = (seconds: number, amountMinor: bigint): Step => ({
  ...{ what: "deposit", wallet: "ana", timeMs: BASE_MS + seconds * 1_000, amountMinor, id: null },
});
const rule: Step = { what: "rule", windowMs: 300_000, limitMinor: 800_000n, how: "next" };
const STEPS = [deposit(0, 600_000n), deposit(200, 300_000n), rule, deposit(250, 1n)];

let tester: Tester;
afterEach(() => tester.close());

/** The rows of the rule's versions, changed. */
function rulesChanged(change: (row: StoredRow) => StoredRow[]): Hand {
  return {
    table: (name, _, state) => {
      if (name !== "threshold-table") return state;
      const rows = [...state.rows()].flatMap((row) => {
        const { key, tag } = splitRowKey(row.key);
        return key.length === 0 && tag === RULE_VERSION_FORMAT.tag ? change(row) : [row];
      });
      return { ...state, rows: () => rows };
    },
  };
}

describe.each([false, true])("a history with a change of the rule (changelogs: %p)", (own) => {
  test("is proven, over restarts and lost stores", async () => {
    tester = await played([...STEPS, { what: "restart", losesStores: true }, deposit(251, 1n)], {
      keepsChangelogs: own,
    });
    const { differences, compared, flaggedWallets } = await verified(tester);
    expect(differences).toEqual([]);
    expect(compared).toMatchObject({ deposits: 4, flagEvents: 2 });
    expect(flaggedWallets).toBe(1);
  });
});

describe("a version of the rule", () => {
  test("that a table lacks is a difference, in every partition", async () => {
    tester = await played([rule, deposit(0, 1n)]);
    const { differences } = await verified(tester, rulesChanged(() => []));
    expect(differences).toHaveLength(PARTITIONS);
    expect(differences[0]).toMatchObject({
      ...{ kind: "row", where: "threshold-table", wallet: null, found: "no such row" },
      expected: expect.stringContaining("rule version"),
    });
  });

  test("that says another limit in a table is a difference", async () => {
    tester = await played([rule, deposit(0, 1n)]);
    const hand = rulesChanged((row) => {
      const value = Uint8Array.from(row.value);
      const at = Buffer.from(value).indexOf(Buffer.from("80ea30", "hex")); // 800,000
      value[at + 2] = 0x31;
      return [{ key: row.key, value }];
    });
    const { differences } = await verified(tester, hand);
    expect(differences).toHaveLength(PARTITIONS);
    expect(differences[0]?.expected).toContain('limitMinor "800000"');
  });

  test("that two partitions disagree about is a difference", async () => {
    tester = await played([rule]);
    const said = { number: 3, windowMs: 60_000, actor: "ana", reason: "why", atMs: BASE_MS };
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      const message = versionMessage({ ...said, limitMinor: BigInt(partition + 1) });
      await tester.sendRaw(controlRecord({ topic: "deposit", partition }, ruleControl, message));
    }
    await tester.settle();
    const { differences } = await verified(tester);
    expect(differences).toHaveLength(PARTITIONS - 1);
    expect(differences[0]).toMatchObject({ kind: "rule", where: "deposit", partition: 1 });
  });
});
