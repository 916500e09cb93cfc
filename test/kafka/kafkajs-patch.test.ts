/** The one change to kafkajs: its connections, which the adapter stands on, keep no timer. */

import { expect, test } from "bun:test";
import { createRequire } from "node:module";

/** kafkajs's own modules: what is patched lies below its public surface. */
const inside = createRequire(import.meta.resolve("kafkajs"));

test("a connection with nothing to send sets no timer", () => {
  interface RequestQueue {
    readonly throttleCheckTimeoutId: unknown;
    checkPendingRequests(): void;
    push(request: object): void;
    fulfillRequest(answer: object): void;
    destroy(): void;
  }
  const Queue = inside("./src/network/requestQueue/index.js") as new (
    options: object,
  ) => RequestQueue;
  const logger = { debug: () => {}, warn: () => {} };
  const queue = new Queue({ logger, requestTimeout: 1_000, enforceRequestTimeout: false });
  const request = (correlationId: number) => ({
    entry: { correlationId, resolve: () => {}, reject: () => {} },
    expectResponse: true,
    sendRequest: () => {},
  });
  queue.push(request(1));
  queue.fulfillRequest({ correlationId: 1, size: 0, payload: null });
  expect(queue.throttleCheckTimeoutId).toBeNull();
  queue.destroy();
  queue.checkPendingRequests();
  expect(queue.throttleCheckTimeoutId).toBeNull();
});
