/** What an operator asks of a deployment: its flow, its settings, its records, how it stands. */

import { afterAll, expect, test } from "bun:test";
import { run, temporaryFolder } from "./program.ts";

const TEST_MS = 60_000;
const folder = temporaryFolder();
const options = { folder: folder.path };
afterAll(() => folder[Symbol.dispose]());

test("topology shows the flow as text, Mermaid and JSON", async () => {
  const [text, mermaid, json, wrong] = await Promise.all([
    run(options, "topology"),
    run(options, "topology", "--format", "mermaid"),
    run(options, "topology", "--format", "json"),
    run(options, "topology", "--format", "xml"),
  ]);
  expect(text.out).toMatch(/^deposit +depositaja\.v1\.Deposit, .+\n├─> collector \(balance\) /);
  expect(mermaid.out).toStartWith("flowchart LR\n");
  expect(JSON.parse(json.out)).toMatchObject({
    streams: [{ topic: "deposit", read_by: ["balance", "threshold"] }, { topic: "flag_wallet" }],
    groups: [{ processor: "collector" }, { processor: "detector" }, { processor: "flagger" }],
  });
  expect(wrong).toMatchObject({ code: 2, out: "" });
}, TEST_MS);
