import { describe, expect, test } from "bun:test";
import { filesWithoutTests, parseTestReport } from "./test-report.ts";

/** As Bun 1.4.5 writes it. */
const REPORT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="bun test" tests="4" assertions="2" failures="1" skipped="2" time="0.0039">
  <testsuite name="test/a/ok.test.ts" file="test/a/ok.test.ts" tests="4" failures="1" skipped="2">
    <testsuite name="group &amp; &lt;x&gt;" file="test/a/ok.test.ts" line="2" tests="3">
      <testcase name="ok &gt;" classname="x" time="0" file="test/a/ok.test.ts" line="2" />
      <testcase name="later" classname="x" time="0" file="test/a/ok.test.ts" line="2">
        <skipped />
      </testcase>
      <testcase name="one day" classname="x" time="0" file="test/a/ok.test.ts" line="2">
        <skipped message="TODO" />
      </testcase>
    </testsuite>
    <testcase name="fails" classname="" time="0" file="test/a/ok.test.ts" line="3">
      <failure type="AssertionError" message="no">expect(&lt;testcase/&gt;)</failure>
    </testcase>
  </testsuite>
</testsuites>`;

describe("the test report", () => {
  test("counts passed, failed and skipped cases", () => {
    const { passed, failed, skipped } = parseTestReport(REPORT);
    expect({ passed, failed, skipped }).toEqual({ passed: 1, failed: 1, skipped: 2 });
  });

  test("names the files that are not in it", () => {
    const paths = ["test/throws.test.ts", "test/a/ok.test.ts", "test/empty.test.ts"];
    expect(filesWithoutTests(parseTestReport(REPORT), paths)).toEqual([
      "test/empty.test.ts",
      "test/throws.test.ts",
    ]);
  });
});
