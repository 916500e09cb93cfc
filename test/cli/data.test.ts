/** What a command says of what it wrote when the wait for it fails. */

import { expect, test } from "bun:test";
import type { App } from "../../src/app.ts";
import { waitText, withStandIn } from "../../src/cli/data.ts";
import { LogError } from "../../src/log/event-log.ts";
import { StreamError } from "../../src/stream/stream-error.ts";

const STANDS = "; deposit 3-17 is written and stands: it counts once processing goes on";

function settling(
  failure: Error,
  written: string | null,
  problem: string | null = null,
): Promise<unknown> {
  const standIn = { join: () => {}, settle: () => Promise.reject(failure), leave: async () => {} };
  const app = { standIn: () => standIn, log: { problem } } as unknown as App;
  const { signal } = new AbortController();
  return withStandIn(app, signal, ({ settle }) => settle([], written)).catch(
    (error: unknown) => error,
  );
}

test.each([
  new StreamError("not_settled", "not settled"),
  new LogError("unavailable", "no broker answers"),
  new LogError("corrupt", "a record is damaged"),
])("what was written stands, whatever the wait fails with: %s", async (failure) => {
  const name = "CommandError";
  const message = `${failure.message}${STANDS}`;
  expect(await settling(failure, "deposit 3-17")).toMatchObject({ name, message, cause: failure });
  expect(await settling(failure, null)).toMatchObject({ name, message: failure.message });
});

test("a wait that nobody ends says what is wrong with the log", async () => {
  const failure = new StreamError("not_settled", "nobody runs it");
  const message = "nobody runs it; the disk failed";
  expect(await settling(failure, null, "the disk failed")).toMatchObject({ message });
  const damage = new LogError("corrupt", "a record is damaged");
  expect(await settling(damage, null, "the disk failed")).toMatchObject({
    message: damage.message,
  });
});

test("a fault of the program is passed on as it is", async () => {
  const fault = new TypeError("x is not a function");
  expect(await settling(fault, "deposit 3-17")).toBe(fault);
});

test("a wait names what is to go, never none, and who is missing", () => {
  const pending = { group: "balance", partition: 6, topic: "deposit", offset: 186n };
  const whose = { isWithoutOwner: false, loading: null };
  const wait = { pending, nextOffset: 185n, leftRecords: 4_000n, ...whose };
  const place = "balance partition 6 at 185 of 187 in deposit";
  expect(waitText(wait)).toBe(`processing: 4,000 records to go (${place})`);
  expect(waitText({ ...wait, leftRecords: 1n, isWithoutOwner: true })).toBe(
    `processing: 1 record to go (${place}; nobody runs balance there yet: is \`process\` running?)`,
  );
  expect(waitText({ ...wait, loading: { at: null, end: 3_760n } })).toBe(
    "reading the table's copy: balance partition 6 at 0 of 3761 in balance-table",
  );
});
