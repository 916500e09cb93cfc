import { expect, test } from "bun:test";
import { Running, temporaryFolder } from "../end-to-end/program.ts";
import { fuzz, missingForFuzzer, operatorsKey } from "./schemathesis.ts";

const SECONDS = 10;
const TEST_MS = 60_000;

// Skipped: where the fuzzer is not installed; the check's step of that name says why it is not.
test.skipIf(missingForFuzzer() !== null)(
  "the running service gives no answer that its document does not know",
  async () => {
    using folder = temporaryFolder();
    const at = { folder: folder.path };
    const { options, secret } = await operatorsKey(at);
    await using up = new Running(at, "up", "--port", "0", ...options);
    const url = await up.serves();
    const { isClean, report } = await fuzz({ url, secret, seconds: SECONDS, folder: folder.path });
    expect(isClean ? "" : report).toBe("");
    expect(report).toContain("Tested: ");
  },
  TEST_MS,
);
