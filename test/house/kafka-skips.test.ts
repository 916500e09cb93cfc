import { expect, test } from "bun:test";
import { unexplainedKafkaSkips } from "./kafka-skips.ts";

test("a case on the broker may be left out only with a reason in its title", () => {
  const xml = `
    <testcase name="counts once" file="test/log/kafka/claim.test.ts"><skipped /></testcase>
    <testcase name="replays (skipped, keeps changelogs)" file="test/conformance/kafka.test.ts">
      <skipped />
    </testcase>
    <testcase name="commits" file="test/conformance/kafka.test.ts" />
    <testcase name="fails" file="test/conformance/kafka.test.ts"><failure /></testcase>
    <testcase name="another" file="test/money.test.ts"><skipped /></testcase>
  `;
  expect(unexplainedKafkaSkips(xml)).toEqual(["test/log/kafka/claim.test.ts: counts once"]);
});
