/**
 * One process of the program, on a simulated machine: the engine's processors, views, followers
 * and emitters, and the deposits' submissions, put together as src/app.ts does.
 *
 *   start ──> processors, and what serves ──> stop (gives back) or kill (everything in memory lost)
 */

import type { Deposit } from "../../src/gen/depositaja/v1/deposit_pb.ts";
import type { FlagWallet } from "../../src/gen/depositaja/v1/flag_wallet_pb.ts";
import { createSubmissions, type Submissions } from "../../src/deposits/submission.ts";
import { depositStream } from "../../src/deposits/deposit.ts";
import { flagWalletStream } from "../../src/flagger/flag-wallet.ts";
import { createEmitter, type Emitter } from "../../src/stream/emitter.ts";
import { Follower } from "../../src/stream/follower.ts";
import { Followers } from "../../src/stream/followers.ts";
import type { Group } from "../../src/stream/group.ts";
import { type Processor, startProcessor } from "../../src/stream/processor.ts";
import { Settling, type StreamPosition, whenSettled } from "../../src/stream/settling.ts";
import type { Stores } from "../../src/stream/stores.ts";
import { StreamError } from "../../src/stream/stream-error.ts";
import { type Topology, topicSpecs } from "../../src/stream/topology.ts";
import { View } from "../../src/stream/view.ts";
import { brittle } from "./brittle-group.ts";
import { START_MS } from "./log-server.ts";
import type { LogConnection } from "./log-side.ts";
import type { Limits, ProcessPlan } from "./plan.ts";
import { Life, type Scheduler } from "./scheduler.ts";

/** A reader that waits for longer asks again. */
const SETTLE_WITHIN_MS = 20_000;

export interface ProcessOptions {
  readonly scheduler: Scheduler;
  readonly openLog: (process: SimulatedProcess) => LogConnection;
  readonly plan: ProcessPlan;
  readonly topology: Topology;
  readonly partitions: number;
  readonly limits: Limits;
  /** Its rules throw now and then. */
  readonly isBrittle: boolean;
  readonly stores: Stores;
  /** Of tables, kept up for views; null where views read the owners' stores. */
  readonly copies: Stores | null;
  readonly onFailure: (error: Error) => void;
}

export class SimulatedProcess {
  readonly life: Life;
  readonly log: LogConnection;
  readonly processors: Processor[] = [];
  readonly views = new Map<string, View>();
  readonly submissions: Submissions;
  readonly flagWallet: Emitter<FlagWallet>;
  private isReady = false;
  private isStopping = false;
  private readonly followers: Followers;
  private readonly delay: (ms: number, signal?: AbortSignal) => Promise<void>;

  constructor(
    readonly name: string,
    private readonly options: ProcessOptions,
  ) {
    const { scheduler, topology, partitions, stores, copies } = options;
    this.life = new Life(name);
    const log = options.openLog(this);
    this.log = log;
    this.delay = scheduler.delayOf(this.life);
    const { delay } = this;
    const monotonicMs = () => scheduler.nowUs / 1_000;
    const follower = (group: Group, from: Stores) =>
      new Follower({ log, group, stores: from, partitions, delay, monotonicMs });
    const isFollowing = copies !== null && options.plan.serves;
    this.followers = new Followers(
      isFollowing ? topology.groups.map((group) => follower(group, copies)) : [],
    );
    const { scanRows } = options.limits;
    for (const group of options.plan.serves ? topology.groups : []) {
      const standing = (partition: number) => this.followers.progress(group.name, partition);
      const own = { log, group, stores: copies ?? stores, partitions, standing, scanRows };
      this.views.set(group.name, new View(own));
    }
    const deposits: Emitter<Deposit> = createEmitter({ log, stream: depositStream, partitions });
    this.flagWallet = createEmitter({ log, stream: flagWalletStream, partitions });
    this.submissions = createSubmissions({
      ...{ deposits, counted: this.views.get("balance") as View, delay },
      onChange: (listener) => log.onChange(listener),
      nowMs: () => START_MS + Math.floor(scheduler.nowUs / 1_000),
    });
  }

  get serves(): boolean {
    return this.life.isAlive && this.options.plan.serves && this.isReady && !this.isStopping;
  }

  /** Runs as an event of this process. */
  async start(): Promise<void> {
    const { topology, partitions, limits, scheduler, stores, plan, onFailure } = this.options;
    const { log, delay } = this;
    const { keepsChangelogs } = log;
    await log.ensureTopics(topicSpecs(topology, { partitions, keepsChangelogs }));
    if (this.isStopping) return; // told so before it had begun
    this.isReady = true;
    this.followers.followAll();
    const monotonicMs = () => scheduler.nowUs / 1_000;
    for (const sound of topology.groups) {
      if (!plan.groups.includes(sound.name)) continue;
      const group = this.options.isBrittle ? brittle(sound) : sound;
      const own = { log, group, stores, partitions, delay, monotonicMs, limits };
      const processor = startProcessor(own);
      processor.done.catch(onFailure);
      this.processors.push(processor);
    }
  }

  /** As a program ends that is told to. */
  async stop(): Promise<void> {
    this.isStopping = true;
    await Promise.all(this.processors.map((processor) => processor.stop()));
    this.submissions.abandon();
    await this.followers.stop();
    for (const view of this.views.values()) view.close();
    await this.log.close();
  }

  /** True once settled; false when it took too long. */
  async settled(position: StreamPosition): Promise<boolean> {
    const { topology } = this.options;
    const late = new AbortController();
    const settled = new AbortController();
    const timer = this.delay(SETTLE_WITHIN_MS, settled.signal);
    timer.then(() => late.abort()).catch(() => {}); // it never rejects
    const pending = await whenSettled({
      ...{ log: this.log, settling: new Settling(topology, [position]) },
      progressOf: (group, partition) => this.view(group).progress(partition),
      signal: late.signal,
    });
    settled.abort();
    return pending === null;
  }

  view(group: string): View {
    return this.views.get(group) as View;
  }

  /** Of the first partition that stands still and should not. */
  get failure(): Error | null {
    for (const processor of this.processors) {
      for (const { phase, error } of processor.state()) {
        if (phase === "stopped" && !this.isExpected(error)) return error;
      }
    }
    return null;
  }

  private isExpected(error: Error | null): boolean {
    return this.options.isBrittle && error instanceof StreamError && error.code === "rule_failed";
  }
}
