/** What commands say on a cluster where nobody runs `process`. */

import { expect } from "bun:test";
import { run, temporaryFolder } from "../end-to-end/program.ts";
import { freshPrefix, kafkaTest, testBrokers } from "./broker.ts";

const TEST_MS = 90_000;

kafkaTest("a deposit with an id says what was written, who is missing, what to do", async () => {
  using folder = temporaryFolder();
  const options = { folder: folder.path };
  const cluster = ["--brokers", await testBrokers(), "--prefix", freshPrefix()];
  const synced = await run(options, "topics", "sync", "--partitions", "1", ...cluster);
  expect(synced).toMatchObject({ code: 0 });
  const deposit = (id: string) => run(options, "deposit", "alice", "7", "--id", id, ...cluster);
  expect(await deposit("n1")).toEqual({
    code: 1,
    out: "",
    err:
      "error: the deposit 0-0 is written, but the collector has not decided on it: send it again " +
      "with the same id, it is counted once; nobody runs the collector: start `process` first\n",
  });
  const removal = ["flag", "alice", "--remove", "--by", "ana", "--reason", "known"];
  // Each waits for that deposit, and writes nothing.
  const [second, removed] = await Promise.all([
    deposit("n2"),
    run(options, ...removal, ...cluster),
  ]);
  expect(second).toMatchObject({ code: 1, out: "" });
  const lines = second.err.split("\n");
  expect(lines.at(-2)).toBe(
    "error: nothing was written: deposit 0-0 is not settled after 10 s: balance stands at " +
      "offset 0 of partition 0; balance has no owner for it: start `process`; then send the " +
      "deposit again with the same --id, it is counted once",
  );
  expect(lines.slice(0, -2)).toEqual([
    "processing: 2 records to go (balance partition 0 at 0 of 1 in deposit; nobody runs balance " +
      "there yet: is `process` running?)",
  ]);
  expect(removed).toMatchObject({ code: 1, out: "" });
  expect(removed.err).toContain("error: nothing was written: deposit 0-0 is not settled after");
  expect(removed.err).toEndWith("start `process`; then remove the flag again\n");
}, TEST_MS);
