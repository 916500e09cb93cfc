/** What an operator asks of a deployment: its flow, its settings, its records, how it stands. */

import { afterAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
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

test("config says what holds and where it came from; what is wrong is refused", async () => {
  using other = temporaryFolder();
  writeFileSync(join(other.path, "config.env"), "PORT=9000\nDEPOSITAJA_SASL_PASSWORD=sesame\n");
  const wanted = ["config", "--brokers", "a", "--sasl", "plain", "--sasl-username", "ann"];
  const at = (environment: Record<string, string>) => ({ folder: other.path, environment });
  const [text, json, unknown, malformed, plain] = await Promise.all([
    run(at({ DEPOSITAJA_HEALTH: "8081" }), ...wanted, "--allow-host", "b", "--allow-host", "c"),
    run(at({}), ...wanted, "--json"),
    run(at({ DEPOSITAJA_HOTS: "a" }), ...wanted),
    run(at({ DEPOSITAJA_HEALTH: "x" }), ...wanted),
    run(options, "config"),
  ]);
  const rows = text.out.trimEnd().split("\n").map((line) => line.split(/ {2,}/));
  expect(rows.filter(([, , from]) => from !== "default")).toEqual([
    ["setting", "value", "from"],
    ["DEPOSITAJA_PORT", "9000", "PORT in config.env"],
    ["DEPOSITAJA_ALLOW_HOST", "b,c", "--allow-host"],
    ["DEPOSITAJA_HEALTH", "8081", "DEPOSITAJA_HEALTH"],
    ["DEPOSITAJA_BROKERS", "a:9092", "--brokers"],
    ["DEPOSITAJA_SASL", "plain", "--sasl"],
    ["DEPOSITAJA_SASL_USERNAME", "ann", "--sasl-username"],
    ["DEPOSITAJA_SASL_PASSWORD", "***", "DEPOSITAJA_SASL_PASSWORD in config.env"],
  ]);
  const said = json.out.trimEnd().split("\n").map((line) => JSON.parse(line) as object);
  expect(said).toContainEqual({
    ...{ setting: "DEPOSITAJA_PORT", value: 9000, from: "file", source: "PORT in config.env" },
  });
  expect(`${text.out}${text.err}${json.out}${json.err}`).not.toContain("sesame");
  expect(unknown).toMatchObject({ code: 2, out: "" });
  expect(unknown.err).toContain("DEPOSITAJA_HOTS is no setting; did you mean DEPOSITAJA_HOST?");
  expect(malformed).toMatchObject({ code: 2, out: "" });
  expect(malformed.err).toContain('DEPOSITAJA_HEALTH is "x": it must be a port');
  expect(plain).toMatchObject({ code: 0, err: "" });
}, TEST_MS);
