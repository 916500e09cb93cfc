/** The conformance suite against a real broker. */

import { test } from "bun:test";
import { describeEventLog } from "./event-log-suite.ts";
import { logUnderTest } from "./kafka-adapter.ts";

if (process.env["DEPOSITAJA_TEST_BROKERS"] === undefined) {
  test.skip("event log: Kafka (skipped: DEPOSITAJA_TEST_BROKERS names no broker)", () => {});
} else {
  describeEventLog(logUnderTest);
}
