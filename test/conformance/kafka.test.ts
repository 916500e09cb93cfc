/** The conformance suite against a real broker. */

import { test } from "bun:test";
import { whyNoBroker } from "../kafka/broker.ts";
import { describeEventLog } from "./event-log-suite.ts";
import { logUnderTest } from "./kafka-adapter.ts";

if (whyNoBroker === null) describeEventLog(logUnderTest);
// Skipped: without Java 17 and Maven, or a cluster that is pointed to, there is no broker.
else test.skip(`event log: Kafka (skipped, ${whyNoBroker})`, () => {});
