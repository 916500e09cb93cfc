/** One session of a user, for every form in which the program can be started. */

import { expect } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type ProgramOptions, Running, run } from "./program.ts";

/** up, deposit, check, kill -9, restart, check, flags, clean stop. */
export async function playSession(options: ProgramOptions): Promise<void> {
  const { folder } = options;
  const data = join(folder, "depositaja-data");
  const killed = new Running(options, "up", "--port", "0");
  const url = await killed.serves();
  expect(killed.out).toContain(`${data} (created, 8 partitions, 2 decimals)`);
  expect(existsSync(join(data, "log.db"))).toBe(true);

  expect(await post(url, '{"wallet_id": "alice", "amount": "6000"}')).toMatchObject({
    wallet_id: "alice",
    amount: 6000,
  });
  const deposit = ["deposit", "alice", "4000.00", "--id", "invoice 17", "--json"];
  const first = await run(options, ...deposit);
  expect(first).toMatchObject({ code: 0, err: "" });
  expect(JSON.parse(first.out)).toMatchObject({ wallet_id: "alice", amount: "4000.00" });
  const check = await run(options, "check", "alice", "--json");
  expect(JSON.parse(check.out)).toMatchObject({
    wallet_id: "alice",
    balance: "10000.00",
    deposit_count: 2,
    last_deposits: [{ amount: "6000.00" }, { amount: "4000.00", client_id: "invoice 17" }],
    above_threshold: false,
  });

  killed.signal("SIGKILL");
  await killed.ended();
  await using up = new Running(options, "up", "--port", "0");
  const again = await up.serves();
  expect(up.out).not.toContain("created");
  expect(await run(options, ...deposit)).toMatchObject({ code: 0, out: first.out });
  const cent = await post(again, '{"wallet_id": "alice", "amount": 0.01}');
  const answer = await fetch(`${again}/check/alice?after=${cent["position"]}`);
  expect(await answer.text()).toBe(
    '{"wallet_id":"alice","balance":10000.01,"above_threshold":true}',
  );
  // Made of what is loaded when it is asked for, and of what another thread tells.
  const metrics = await (await fetch(`${again}/metrics`)).text();
  expect(metrics).toContain('\ndepositaja_tasks{group="flagger",phase="running"} ');
  const flags = await run(options, "flags", "alice");
  expect(flags.out).toContain("flagged  yes: deposit nr 3 took it over the limit");
  expect(flags.out).toContain("total    10000.01 in 3 deposits, limit 10000.00");
  expect(flags.out).toMatch(/2 +\d-\d+ +4000\.00 .*invoice 17/);

  expect(await up.stop("SIGINT")).toMatchObject({ code: 0, err: "" });
  // Without a service the same commands work: nothing is lost, nothing is counted twice.
  const alone = await run(options, "check", "alice");
  expect(alone).toMatchObject({ code: 0, err: "" });
  expect(alone.out).toContain("balance          10000.01");
}

export async function post(url: string, body: string): Promise<Record<string, unknown>> {
  const answer = await fetch(`${url}/deposit`, { method: "POST", body });
  return (await answer.json()) as Record<string, unknown>;
}
