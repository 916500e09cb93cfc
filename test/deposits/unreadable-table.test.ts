/** What a client hears when the collector's table cannot be read: never that a deposit is gone. */

import { expect, test } from "bun:test";
import { createSubmissions } from "../../src/deposits/submission.ts";
import { problemOf } from "../../src/service/problem.ts";
import { StreamError } from "../../src/stream/stream-error.ts";
import type { View } from "../../src/stream/view.ts";

const damaged = new StreamError("store_mismatch", "the store balance-table/0.db is damaged");

/** Submissions whose table fails from its so-manieth reading on. */
function submissionsFailingFrom(reading: number) {
  let readings = 0;
  let appended = 0;
  const read = () => {
    readings += 1;
    if (readings >= reading) throw damaged;
    return null;
  };
  const submissions = createSubmissions({
    deposits: {
      emit: async () => ({ partition: 0, offset: BigInt(appended++) }),
      emitAll: () => Promise.reject(new Error("not used")),
      partitionOf: () => 0,
    },
    counted: { id: read, progress: read } as unknown as View,
    onChange: () => () => {},
    nowMs: () => 0,
    delay: () => new Promise(() => {}),
  });
  const submit = () => submissions.submit({ walletId: "alice", amountMinor: 1n, key: "k" });
  return { submit, appended: () => appended };
}

async function problem(promise: Promise<unknown>) {
  const error = await promise.then(() => null, (thrown: unknown) => thrown);
  return problemOf(error, "a request");
}

test("before anything is written: 503 store_unavailable, and nothing is appended", async () => {
  const { submit, appended } = submissionsFailingFrom(1);
  expect(await problem(submit())).toMatchObject({ status: 503, code: "store_unavailable" });
  expect(appended()).toBe(0);
});

test("once it is written: 503 undecided, to be sent again with the same key", async () => {
  const { submit, appended } = submissionsFailingFrom(2);
  expect(await problem(submit())).toMatchObject({ status: 503, code: "undecided" });
  expect(appended()).toBe(1);
});
