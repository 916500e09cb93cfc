/** `verify` on a cluster: it reads changelogs, beside processors that go on, and trusts no copy. */

import { expect } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { openKafkaLog } from "../../src/log/kafka/kafka-log.ts";
import { run, Running, temporaryFolder, until } from "../end-to-end/program.ts";
import { freshPrefix, kafkaTest, testBrokers } from "./broker.ts";

const TEST_MS = 90_000;
const DEPOSITS = 400;

kafkaTest("verify passes beside processors, and finds a row of nobody's deposits", async () => {
  using folder = temporaryFolder();
  const [brokers, prefix] = [await testBrokers(), freshPrefix()];
  const cluster = ["--brokers", brokers, "--prefix", prefix];
  const command = (...args: string[]) => run({ folder: folder.path }, ...args, ...cluster);
  await using processing = new Running({ folder: folder.path }, "process", "--all", ...cluster);
  await processing.says(/processing/);
  const rows = Array.from(
    { length: DEPOSITS },
    (_, i) => `w${i % 20},${i % 20 === 0 ? 3_000 : 1},${1_000 * i},k${i}`,
  );
  const file = join(folder.path, "a.csv");
  writeFileSync(file, `wallet_id,amount,accepted_at,id\n${rows.join("\n")}\n`);
  const importing = command("import", file);
  // Whatever is done by now is compared as of now.
  const early = await command("verify");
  expect(early).toMatchObject({ code: 0, err: "" });
  expect(await importing).toMatchObject({ code: 0 });
  expect(await command("flag", "w0", "--remove", "--by", "ana", "--reason", "x")).toMatchObject({
    code: 0,
  });
  const later = await command("verify", "--json");
  expect(later).toMatchObject({ code: 0, err: "" });
  expect(JSON.parse(later.out)).toMatchObject({
    ...{ ok: true, deposits: DEPOSITS, wallets: 20 },
    records_to_do: { balance: 0 },
  });

  const log = await openKafkaLog({
    ...{ brokers: [brokers].flatMap((all) => all.split(",")), clientId: "hand", tls: null },
    ...{ sasl: null, prefix, create: false, defaults: {}, settings: {}, nowMs: Date.now },
  });
  try {
    const key = Buffer.from([0, 7, ...Buffer.from("mallory"), 1]);
    const value = Buffer.from([1, 100, 1, 0]);
    const all = Array.from({ length: 8 }, (_, partition) => partition);
    await log.append(all.map((partition) => ({ topic: "balance-table", partition, key, value })));
  } finally {
    await log.close();
  }
  // The progress goes past it with the next commit of the partition, wherever that is.
  expect(await command("deposit", "w1", "1")).toMatchObject({ code: 0 });
  let said = "";
  await until(async () => {
    const found = await command("verify");
    said = found.out;
    return found.code === 1 && /^row in balance-table partition \d, wallet mallory$/m.test(said);
  }, () => said, TEST_MS);
  expect(said).toContain("expected  no such row");
}, TEST_MS);
