/** What `up` says to type next. */

import { expect, test } from "bun:test";
import { nextLines } from "../../src/cli/serving.ts";

const PLACE = { data: "/data", defaultData: "/data", typedKafka: [], url: "https://localhost:1" };
const OPEN = { ...PLACE, keys: null, keyEntries: null, httpsCert: null };
const curls = (lines: readonly string[]) => lines.filter((line) => line.startsWith("  curl "));

test("what to type next has the key and the certificate that the service wants", () => {
  const open = nextLines(OPEN);
  expect(open.join("\n")).not.toMatch(/KEY|cacert|Bearer/);
  expect(curls(open)).toHaveLength(2);
  const secured = nextLines({ ...OPEN, keys: "/keys", httpsCert: "/my cert" });
  expect(secured).toContain("  KEY=...  # what `keys create` printed");
  for (const line of curls(secured)) {
    expect(line).toStartWith(`  curl --cacert '/my cert' -H "Authorization: Bearer $KEY" `);
  }
  expect(nextLines({ ...OPEN, keyEntries: "a" }).join("\n")).toContain("Bearer");
});
