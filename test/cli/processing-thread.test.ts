/** What `up` hears of the thread of its processors. */

import { expect, test } from "bun:test";
import { EventEmitter } from "node:events";
import { watchThread } from "../../src/cli/processing-thread.ts";
import { rejection } from "../rejection.ts";

class FakeThread extends EventEmitter {
  readonly heard: string[] = [];
  postMessage(message: string): void {
    this.heard.push(message);
  }
}

function start() {
  const thread = new FakeThread();
  const delays: (() => void)[] = [];
  const delay = () => new Promise<void>((resolve) => delays.push(resolve));
  return { thread, watched: watchThread(thread, delay), pass: () => delays.shift()?.() };
}

test("it is ready when it says so, and is stopped when it has ended", async () => {
  const { thread, watched } = start();
  thread.emit("message", { kind: "ready" });
  await watched.ready;
  let isStopped = false;
  const stopping = watched.stop().then(() => (isStopped = true));
  expect(thread.heard).toEqual(["stop"]);
  await new Promise((resolve) => setImmediate(resolve));
  expect(isStopped).toBe(false);
  thread.emit("exit", 0);
  await stopping;
});

test.each([
  ["says so", (it: FakeThread) => it.emit("message", { kind: "failed", message: "no space" })],
  ["throws", (it: FakeThread) => it.emit("error", new Error("no space"))],
])("one that %s has failed, also while it stops", async (_, fail) => {
  const running = start();
  fail(running.thread);
  expect((await rejection(running.watched.failed)).message).toContain(
    "the processors have ended: no space",
  );

  const { thread, watched } = start();
  thread.emit("message", { kind: "ready" });
  const stopping = watched.stop();
  fail(thread);
  thread.emit("exit", 1);
  expect((await rejection(stopping)).message).toContain("the processors have ended: no space");
});

test("one that ends without a word has failed, and its code is named", async () => {
  const { thread, watched } = start();
  thread.emit("exit", 137);
  expect((await rejection(watched.failed)).message).toContain("their thread ended with code 137");
});

test("asked for its numbers it tells them; one that is busy, what was last known", async () => {
  const { thread, watched, pass } = start();
  const [first, second] = [watched.numbers(), watched.numbers()];
  expect(thread.heard).toEqual(["numbers"]);
  const processors = [{ group: "balance" }];
  thread.emit("message", { kind: "numbers", processors });
  expect([await first, await second]).toEqual([processors, processors] as never);
  const late = watched.numbers();
  expect(thread.heard).toEqual(["numbers", "numbers"]);
  pass();
  pass();
  pass();
  expect(await late).toEqual(processors as never);
});
