import { Database, SQLiteError } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { flagWalletStream } from "../../../src/flagger/flag-wallet.ts";
import { type EventLog, LogError, type LogRecord } from "../../../src/log/event-log.ts";
import { recordChecksum } from "../../../src/log/record-checksum.ts";
import type { Difference } from "../../../src/proof/verify/findings.ts";
import { WINDOW_FORMAT } from "../../../src/proof/verify/row-formats.ts";
import { splitRowKey } from "../../../src/stream/row-key.ts";
import type { StoredRow } from "../../../src/stream/store.ts";
import type { Tester } from "../../../src/stream/tester.ts";
import { thrown } from "../../thrown.ts";
import { type Hand, histories, PARTITIONS, played, tableOf, verified } from "./histories.ts";

const NUM_RUNS = 25;
const MUTATIONS_A_RUN = 8;
/** Of mutations, each of which is a verification of its own. */
const MUTATED_RUNS = 60;
const TEST_MS = 240_000;
const TABLES = ["balance-table", "threshold-table", "flagger-table"] as const;
const decoder = new TextDecoder();

interface Place {
  readonly table: string;
  readonly partition: number;
  readonly row: StoredRow;
}

describe("a verification", () => {
  test.each([false, true])(
    "finds nothing wrong with what the groups made of any history (changelogs: %p)",
    async (keepsChangelogs) => {
      await fc.assert(
        fc.asyncProperty(histories, async (steps) => {
          const tester = await played(steps, { keepsChangelogs });
          try {
            const result = await verified(tester);
            expect(result.differences).toEqual([]);
            expect(result.differenceCount).toBe(0);
            expect(result.left).toEqual({ balance: 0, threshold: 0, flagger: 0 });
          } finally {
            await tester.close();
          }
        }),
        { numRuns: NUM_RUNS },
      );
    },
    TEST_MS,
  );

  test(
    "finds each row that was changed, lost or added, and says of which wallet",
    async () => {
      await mutating(allRows, expectFound);
    },
    TEST_MS,
  );

  test(
    "finds each flag event that was changed, lost or doubled, and says of which wallet",
    async () => {
      const eventsOf = async (tester: Tester) =>
        (await tester.messages(flagWalletStream)).filter(
          ({ message }) => message.kind.case === "event",
        );
      await mutating(eventsOf, async (tester, event, next) => {
        const { differences } = await verified(tester, eventHand(event, next));
        const isFound = ({ kind, wallet }: Difference) =>
          kind === "flag_event" && wallet === event.key;
        expect(differences.filter(isFound)).not.toEqual([]);
      });
    },
    TEST_MS,
  );
});

test("a temporary file that cannot be used is named as what it is", async () => {
  const tester = await played([{ what: "restart", losesStores: false }]);
  try {
    const failing = { bounds: () => Promise.reject(sqliteError()) };
    const log: Hand["log"] = (whole) => ({
      ...failing,
      read: (options) => whole.read(options),
      progress: (group, partition) => whole.progress(group, partition),
    });
    const error = await verified(tester, { log }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(LogError);
    expect((error as LogError).message).toContain("name another folder in SQLITE_TMPDIR");
  } finally {
    await tester.close();
  }
});

/** Of any history, some of what is there: each is to be missed once it is not as it was. */
async function mutating<T>(
  all: (tester: Tester) => readonly T[] | Promise<readonly T[]>,
  expectMissed: (tester: Tester, one: T, next: () => number) => Promise<void>,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(histories, fc.infiniteStream(fc.nat()), async (steps, numbers) => {
      const tester = await played(steps);
      const next = () => numbers.next().value as number;
      try {
        const there = await all(tester);
        for (let i = 0; i < MUTATIONS_A_RUN && there.length > 0; i += 1) {
          await expectMissed(tester, there[next() % there.length] as T, next);
        }
      } finally {
        await tester.close();
      }
    }),
    { numRuns: MUTATED_RUNS, endOnFailure: true },
  );
}

/** Any will do: what is not of the log or a table is of the temporary file. */
function sqliteError(): unknown {
  using database = new Database(":memory:");
  return thrown(SQLiteError, () => database.exec("SELECT * FROM nothing"));
}

function allRows(tester: Tester): Place[] {
  return TABLES.flatMap((table) =>
    Array.from({ length: PARTITIONS }, (_, partition) => partition).flatMap((partition) => {
      const rows = tableOf(tester, table, partition)?.rows() ?? [];
      return [...rows].map((row) => ({ table, partition, row }));
    }),
  );
}

async function expectFound(tester: Tester, place: Place, next: () => number): Promise<void> {
  const { table, partition, row } = place;
  const { key, tag } = splitRowKey(row.key);
  const changed = next() % 3 === 0 ? null : flipped(row.value, next());
  const added = { key: flipped(row.key, 8 * row.key.length - 1), value: row.value };
  const isAdding = next() % 4 === 0;
  if (!isAdding && changed !== null && table === "threshold-table" && tag === WINDOW_FORMAT.tag) {
    if (isSameButTail(row.value, changed)) return; // as good a place to begin at
  }
  const hand: Hand = {
    table: (name, at, state) => {
      if (name !== table || at !== partition) return state;
      const rows = [...state.rows()].flatMap((each) => {
        if (!Buffer.from(each.key).equals(row.key)) return [each];
        if (isAdding) return [each, added];
        return changed === null ? [] : [{ key: each.key, value: changed }];
      });
      const sorted = rows.toSorted((a, b) => Buffer.compare(a.key, b.key));
      return { ...state, rows: () => sorted };
    },
  };
  const { differences } = await verified(tester, hand);
  const keys = isAdding ? [key, splitRowKey(added.key).key] : [key];
  const nameOf = (each: Uint8Array) => (each.length === 0 ? null : decoder.decode(each));
  const wallets = new Set<string | null>(keys.map(nameOf));
  const isFound = (each: Difference) =>
    each.where === table && each.partition === partition && wallets.has(each.wallet);
  if (differences.some(isFound)) return;
  const how = isAdding ? "doubled" : changed === null ? "lost" : `changed to ${hex(changed)}`;
  throw new Error(`${table}: the row ${hex(row.key)} of ${hex(row.value)} ${how} is not found`);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** The bytes with one bit turned. */
function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const at = (bit >> 3) % Math.max(1, copy.length);
  copy[at] = (copy[at] as number) ^ (1 << (bit & 7));
  return copy;
}

function isSameButTail(before: Uint8Array, after: Uint8Array): boolean {
  try {
    const tailKey = null;
    const plain = (bytes: Uint8Array) => ({ ...WINDOW_FORMAT.decode(bytes), tailKey });
    return Bun.deepEquals(plain(before), plain(after));
  } catch {
    return false;
  }
}

function eventHand(
  event: { readonly partition: number; readonly offset: bigint; readonly message: FlagMessage },
  next: () => number,
): Hand {
  const how = next() % 3;
  const isIt = ({ topic, partition, offset }: LogRecord) =>
    topic === "flag_wallet" && partition === event.partition && offset === event.offset;
  const changed = changedEvent(event.message, next());
  const hand = (records: readonly LogRecord[]) =>
    records.flatMap((record) => {
      if (!isIt(record)) return [record];
      if (how === 0) return [];
      if (how === 1) return [record, record];
      const value = changed;
      return [{ ...record, value, checksum: recordChecksum({ ...record, value }) }];
    });
  return {
    log: (log: EventLog) => ({
      async *read(options) {
        for await (const records of log.read(options)) {
          const handed = hand(records);
          if (handed.length > 0) yield handed;
        }
      },
      bounds: (topic, partition) => log.bounds(topic, partition),
      progress: (group, partition) => log.progress(group, partition),
    }),
  };
}

type FlagMessage = ReturnType<typeof flagWalletStream.codec.decode>;

function changedEvent(message: FlagMessage, choice: number): Uint8Array {
  const copy = structuredClone(message);
  if (copy.kind.case !== "event") throw new Error("no event");
  const event = copy.kind.value;
  const deposit = event.deposit as NonNullable<typeof event.deposit>;
  const changes = [
    () => (event.ruleVersion += 1),
    () => (event.windowStartMs -= 1n),
    () => (event.windowEndMs += 1n),
    () => (event.totalMinor = `${event.totalMinor}0`),
    () => (event.limitMinor = `${event.limitMinor}1`),
    () => (event.isLate = !event.isLate),
    () => (event.episode += 1n),
    () => (deposit.ordinal += 1n),
    () => (deposit.amountMinor -= deposit.amountMinor > 1n ? 1n : -1n),
    () => (deposit.acceptedAtMs += 1n),
    () => (deposit.clientId = `${deposit.clientId ?? ""}x`),
    () => (deposit.position = `${deposit.position}9`),
    () => {
      if (event.opening === undefined) event.ruleId = "another";
      else if (choice % 2 === 0) event.opening.count += 1n;
      else event.opening.deposits.pop();
    },
  ];
  changes[choice % changes.length]?.();
  return flagWalletStream.codec.encode(copy);
}
