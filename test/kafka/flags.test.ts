/** The operators' routes on a cluster, where a server has copies of the tables. */

import { expect } from "bun:test";
import { Running, temporaryFolder, until } from "../end-to-end/program.ts";
import { post } from "../end-to-end/session.ts";
import { readExposition, total } from "../service/exposition.ts";
import { freshPrefix, kafkaTest, testBrokers } from "./broker.ts";

const TEST_MS = 60_000;

kafkaTest("flags are listed, removed and added over HTTP, and can be read at once", async () => {
  using folder = temporaryFolder();
  const cluster = ["--brokers", await testBrokers(), "--prefix", freshPrefix()];
  const options = { folder: folder.path };
  await using up = new Running(options, "up", "--port", "0", ...cluster);
  const url = await up.serves();
  await until(async () => (await fetch(`${url}/readyz`)).status === 200, () => up.err);
  const ask = async (path: string, body?: object) => {
    const sent = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    const answer = await fetch(`${url}${path}`, sent);
    return { status: answer.status, ...((await answer.json()) as Record<string, unknown>) };
  };
  for (const id of ["alice", "bob", "carol"]) {
    const { position } = await post(url, `{"wallet_id": "${id}", "amount": 10000.01}`);
    expect(await ask(`/flags/${id}?after=${position as string}`)).toMatchObject({
      flagged: true,
      newest_event: 1,
      episodes: [{ opening: { total: "10000.01", deposit: { deposit_id: position } } }],
    });
  }
  const listed: string[] = [];
  for (let query = "?limit=1"; query !== ""; ) {
    const { flags, next_cursor: cursor } = (await ask(`/flags${query}`)) as unknown as {
      flags: { wallet_id: string }[];
      next_cursor: string | null;
    };
    listed.push(...flags.map(({ wallet_id: id }) => id));
    query = cursor === null ? "" : `?limit=1&cursor=${cursor}`;
  }
  expect(listed.toSorted()).toEqual(["alice", "bob", "carol"]);

  const removal = { action: "remove", actor: "ana", reason: "salary", seen_event: 2 };
  expect(await ask("/flags/alice", removal)).toMatchObject({ status: 409, code: "unknown_event" });
  const removed = await ask("/flags/alice", { ...removal, seen_event: 1 });
  expect(removed).toMatchObject({ status: 200, flagged: false, covered_event: 1 });
  expect(await ask("/check/alice")).toMatchObject({ above_threshold: false });
  expect(await ask("/flags/dave", { action: "add", actor: "ana" })).toMatchObject({ status: 200 });
  expect(await ask("/wallets/dave")).toMatchObject({ status: 404, code: "unknown_wallet" });
  expect(await ask("/wallets/bob")).toMatchObject({ balance: "10000.01", above_threshold: true });

  const text = await (await fetch(`${url}/metrics`)).text();
  const metrics = readExposition(text);
  const sum = (name: string, labels = {}) => total(metrics, `depositaja_${name}`, labels);
  expect([sum("flags_raised_total"), sum("flags_removed_total")]).toEqual([4, 1]);
  expect([sum("partition_owned"), sum("tasks", { phase: "running" })]).toEqual([24, 24]);
  expect(sum("commit_records_sum", { group: "balance" })).toBe(3);
  expect([sum("lag_records"), sum("log_asked"), sum("ready")]).toEqual([0, 1, 1]);
  expect(sum("disk_bytes", { what: "views" })).toBeGreaterThan(4_096);
}, TEST_MS);
