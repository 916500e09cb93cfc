/** A server whose copy of a table cannot be followed any more: it says so, until it can again. */

import { Database } from "bun:sqlite";
import { expect } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { Running, temporaryFolder, until } from "../end-to-end/program.ts";
import { post } from "../end-to-end/session.ts";
import { freshPrefix, kafkaTest, testBrokers } from "./broker.ts";

const TEST_MS = 60_000;

interface Ready {
  readonly ready: boolean;
  readonly views_not_followed: readonly { group: string; partition: number; reason: string }[];
}

kafkaTest("/readyz names a copy that is not followed, and forgets it once it is", async () => {
  using folder = temporaryFolder();
  const cluster = ["--brokers", await testBrokers(), "--prefix", freshPrefix()];
  const data = join(folder.path, "data");
  const start = (...args: string[]) =>
    new Running({ folder: folder.path }, ...args, ...cluster, "--data", data);
  await using serve = start("serve", "--port", "0");
  const url = await serve.serves();
  await using processing = start("process", "--all");
  await processing.says(/processing/);
  const deposit = () => post(url, '{"wallet_id": "alice", "amount": 1}');
  const readyz = async () => (await (await fetch(`${url}/readyz`)).json()) as Ready;
  const isThere = async (position: unknown) =>
    (await fetch(`${url}/check/alice?after=${position as string}`)).status === 200;
  const isSettled = async () => isThere((await deposit())["position"]);
  await until(isSettled, () => serve.err);
  expect((await readyz()).views_not_followed).toEqual([]);

  const { position } = await deposit();
  await until(() => isThere(position), () => serve.err); // the copy's follower has nothing to do
  const partition = Number((position as string).split("-")[0]);
  const [path] = new Bun.Glob(`**/views/balance-table/${partition}.db`).scanSync(data);
  const file = join(data, path as string);
  using copy = new Database(file);
  copy.run("PRAGMA busy_timeout = 5000");
  copy.run("UPDATE place SET progress = json_set(progress, '$.changelog', 999999)");
  await deposit();
  await until(async () => (await readyz()).views_not_followed.length > 0, () => serve.err);
  const { ready, views_not_followed: views } = await readyz();
  expect(ready).toBe(true); // for a while
  expect(views).toMatchObject([{ group: "balance", partition }]);
  expect(views[0]?.reason).toEndWith("delete the store, and it is built anew");

  for (const end of ["", "-wal", "-shm"]) rmSync(`${file}${end}`, { force: true });
  await until(async () => (await readyz()).views_not_followed.length === 0, () => serve.err);
  await until(isSettled, () => serve.err);
  expect(serve.err).toContain("is followed again");
}, TEST_MS);
