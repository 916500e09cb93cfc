import { expect, test } from "bun:test";
import { stopProcessors } from "../../src/cli/stop-processors.ts";
import { rejection } from "../rejection.ts";

test("one that fails to end is heard of, after the others have ended", async () => {
  const goOn = Promise.withResolvers<void>();
  const ended: string[] = [];
  const stopping = stopProcessors([
    { stop: () => Promise.reject(new Error("the disk is gone")) },
    { stop: () => goOn.promise.then(() => void ended.push("slow")) },
    { stop: async () => void ended.push("quick") },
  ]).finally(() => ended.push("all"));
  goOn.resolve();
  expect((await rejection(stopping)).message).toContain("the disk is gone");
  expect(ended).toEqual(["quick", "slow", "all"]);
  await stopProcessors([]);
});
