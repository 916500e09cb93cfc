/** Processors that hang, come, go and are killed, under load. */

import { expect } from "bun:test";
import { inTime } from "../../in-time.ts";
import { kafkaTest, testBrokers } from "../broker.ts";
import { Deployment } from "./deployment.ts";

const TEST_MS = 120_000;
const SPREAD_WITHIN_MS = 10_000;
const LATE_MS = 10_000;
const RESTARTED_WITHIN_MS = 5_000;
const PROBE_EVERY_MS = 50;
const CALM_MS = 2_000;

kafkaTest("an owner that hangs past its session changes nothing when it wakes", async () => {
  await using deployment = new Deployment(await testBrokers());
  const { url } = await deployment.serve();
  const hanging = await deployment.process("a");
  await deployment.settlesEverywhere(url);
  const load = deployment.load();
  hanging.signal("SIGSTOP"); // with what it has read and not committed
  const other = await deployment.process("b");
  await deployment.isSharedBy(1);
  await deployment.settlesEverywhere(url);
  hanging.signal("SIGCONT");
  await deployment.isSharedBy(2);
  await deployment.settlesEverywhere(url);
  await load.stop();
  expect(hanging.err).toMatch(/the membership was lost|the claim is over/);
  // Alone again, it goes on from its own stores.
  expect((await other.stop()).code).toBe(0);
  deployment.forget(other);
  await deployment.settlesEverywhere(url);
  expect(await deployment.faults()).toEqual([]);
}, TEST_MS);

kafkaTest("from one process to three and back, under load, no deposit is 10 s late", async () => {
  await using deployment = new Deployment(await testBrokers());
  const { url } = await deployment.serve();
  await deployment.process("a");
  await deployment.settlesEverywhere(url);
  const load = deployment.load(2);
  const probe = new LatenessProbe(deployment, url);
  const others = await Promise.all([deployment.process("b"), deployment.process("c")]);
  await deployment.isSharedBy(3, SPREAD_WITHIN_MS);
  await Bun.sleep(CALM_MS);
  for (const other of others) {
    expect((await other.stop()).code).toBe(0);
    deployment.forget(other);
  }
  await deployment.isSharedBy(1, SPREAD_WITHIN_MS);
  await Bun.sleep(CALM_MS);
  const latestMs = await probe.stop();
  await load.stop();
  expect(latestMs).toBeLessThan(LATE_MS);
  expect(await deployment.faults()).toEqual([]);
}, TEST_MS);

kafkaTest("the only processor, killed and started again, processes within 5 s", async () => {
  await using deployment = new Deployment(await testBrokers());
  const { url } = await deployment.serve();
  let running = await deployment.process("a");
  await deployment.settlesEverywhere(url);
  const load = deployment.load();
  await inTime(RESTARTED_WITHIN_MS, async () => {
    await Bun.sleep(CALM_MS / 4);
    running.signal("SIGKILL");
    await running.ended();
    deployment.forget(running);
    const startMs = performance.now();
    running = await deployment.process("a");
    await deployment.settlesEverywhere(url);
    return performance.now() - startMs;
  });
  await load.stop();
  expect(await deployment.faults()).toEqual([]);
}, TEST_MS);

/** Sends deposits at a steady pace, and measures how long each takes to be settled. */
class LatenessProbe {
  private latestMs = 0;
  private isStopping = false;
  private readonly waiting = new Set<Promise<void>>();
  private readonly sending: Promise<void>;

  constructor(
    private readonly deployment: Deployment,
    private readonly url: string,
  ) {
    this.sending = this.send();
  }

  /** The longest, in milliseconds, once all are settled. */
  async stop(): Promise<number> {
    this.isStopping = true;
    await this.sending;
    await Promise.all(this.waiting);
    return this.latestMs;
  }

  private async send(): Promise<void> {
    for (let number = 0; !this.isStopping; number += 1) {
      const startMs = performance.now();
      const settled = this.deployment.settles(this.url, `probe-${number % 16}`).then(() => {
        this.latestMs = Math.max(this.latestMs, performance.now() - startMs);
      });
      this.waiting.add(settled);
      void settled.finally(() => this.waiting.delete(settled)).catch(() => {});
      await Bun.sleep(PROBE_EVERY_MS);
    }
  }
}
