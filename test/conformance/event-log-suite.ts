/**
 * The conformance suite of the log port: what src/log/event-log.ts promises, as cases that every
 * adapter passes. An adapter's test calls it with a way to open logs and what can be done to them.
 *
 *   embedded.test.ts ──LogUnderTest──> describeEventLog ──> cases against the port alone
 *
 * After watermill's pubsub/tests: one suite, a list of features, fresh names for each case. A
 * case that an adapter cannot have is skipped by name, with the reason and a case that runs.
 */

import { describe } from "bun:test";
import { appendCases } from "./append-cases.ts";
import { commitCases } from "./commit-cases.ts";
import { crashCases } from "./crash-cases.ts";
import { fencingCases } from "./fencing-cases.ts";
import { Fixture } from "./fixture.ts";
import { logCases } from "./log-cases.ts";
import type { LogUnderTest } from "./log-under-test.ts";
import { memberCases } from "./member-cases.ts";
import { outcomeCases } from "./outcome-cases.ts";
import { positionCases } from "./position-cases.ts";
import { readCases } from "./read-cases.ts";
import { replayCases } from "./replay-cases.ts";
import { standInCases } from "./stand-in-cases.ts";
import { storageCases } from "./storage-cases.ts";
import { topicCases } from "./topic-cases.ts";

export function describeEventLog(adapter: LogUnderTest): void {
  describe(`event log: ${adapter.name}`, () => {
    const fixture = new Fixture(adapter);
    describe("the log as a whole", () => logCases(fixture));
    describe("topics", () => topicCases(fixture));
    describe("append", () => appendCases(fixture));
    describe("read", () => readCases(fixture));
    describe("commit", () => commitCases(fixture));
    describe("outcomes of a commit", () => outcomeCases(fixture));
    describe("fencing", () => fencingCases(fixture));
    describe("positions", () => positionCases(fixture));
    describe("replay", () => replayCases(fixture));
    describe("members", () => memberCases(fixture));
    describe("stand-ins", () => standInCases(fixture));
    describe("storage", () => storageCases(fixture));
    describe("crashes", () => crashCases(fixture));
    fixture.checkSkips();
  });
}
