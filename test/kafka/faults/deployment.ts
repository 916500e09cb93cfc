/**
 * The program on a cluster, as its users run it: servers and processors as processes, from one
 * machine or several, under load, and the verdict on it all.
 *
 *   serve, process --all ──> cluster <── clients (witness)      at the end: oracle ──> faults
 */

import { join } from "node:path";
import { randomFrom } from "../../../src/proof/random.ts";
import { Client, newWallets } from "../../../bench/torture/client.ts";
import { clusterSite } from "../../../bench/torture/site.ts";
import { judgeRun } from "../../../bench/torture/verdict.ts";
import { Witness } from "../../../bench/torture/witness.ts";
import { type KafkaLog, openKafkaLog } from "../../../src/log/kafka/kafka-log.ts";
import { type Outcome, Running, run, temporaryFolder, until } from "../../end-to-end/program.ts";
import { post } from "../../end-to-end/session.ts";
import { freshPrefix } from "../broker.ts";
import { freePorts } from "../free-ports.ts";

const GROUPS = ["balance", "threshold", "flagger"];
const CLIENTS = 4;
const WALLETS = 24;
/** The program promises 10 s of its own; the rest is for a machine under load. */
const SETTLES_WITHIN_MS = 30_000;

export interface Server {
  readonly program: Running;
  readonly url: string;
  readonly port: number;
}

export class Deployment implements AsyncDisposable {
  readonly prefix = freshPrefix();
  readonly witness = new Witness();
  private readonly folder = temporaryFolder();
  private readonly programs: Running[] = [];
  private ports: number[] = [];
  private log: Promise<KafkaLog> | null = null;

  /** `brokers` is what the programs are told; `judged` is where the verdict looks. */
  constructor(
    private readonly brokers: string,
    private readonly judged: string = brokers,
  ) {}

  /** Resolves when it listens. */
  async serve(machine = "a"): Promise<Server> {
    const program = this.start(machine, "serve", "--port", "0");
    const url = await program.serves();
    const port = Number(new URL(url).port);
    this.ports.push(port);
    return { program, url, port };
  }

  /** Resolves when it answers, ready or not. */
  async serveUnready(): Promise<Server> {
    const [port = 0] = await freePorts(1);
    const program = this.start("a", "serve", "--port", String(port));
    const url = `http://127.0.0.1:${port}`;
    const answers = () => fetch(`${url}/healthz`).then(({ status }) => status === 200, () => false);
    await until(answers, () => program.err);
    this.ports.push(port);
    return { program, url, port };
  }

  /** All processors; resolves when they have begun, not when they have partitions. */
  async process(machine = "a"): Promise<Running> {
    const program = this.start(machine, "process", "--all");
    await program.says(/processing/);
    return program;
  }

  run(...args: string[]): Promise<Outcome> {
    return run({ folder: this.folder.path }, ...args, ...this.flags("a"));
  }

  /** Deposits until `stop`, which resolves when everything that was asked is answered. */
  load(clients = CLIENTS): { stop(): Promise<void> } {
    const { witness, ports, prefix } = this;
    const stopping = new AbortController();
    const wallets = newWallets(prefix, WALLETS);
    const common = { ports, wallets, witness, signal: stopping.signal };
    const done = Promise.all(
      Array.from({ length: clients }, (_, index) => {
        const random = randomFrom(index + this.witness.keyed.size);
        const name = `c${index}-${this.witness.keyed.size}`;
        return new Client({ ...common, name, random }).run();
      }),
    );
    const stop = async () => {
      stopping.abort();
      await done;
    };
    return { stop };
  }

  /** One deposit into a wallet, and resolves when it is settled. */
  async settles(url: string, wallet: string, withinMs = SETTLES_WITHIN_MS): Promise<void> {
    let seen = "";
    const posted = async () => {
      const sending = this.witness.askUnkeyed(wallet, 1n);
      const answer = await post(url, `{"wallet_id": "${wallet}", "amount": 0.01}`);
      seen = JSON.stringify(answer);
      if (answer["position"] === undefined) return false;
      this.witness.toldUnkeyed(sending, seen);
      return true;
    };
    const endMs = performance.now() + withinMs;
    await until(posted, () => `${wallet} ${seen}`, withinMs);
    const { position } = JSON.parse(seen) as { position: string };
    const look = async () => {
      const answer = await fetch(`${url}/check/${wallet}?after=${position}`);
      seen = await answer.text();
      return answer.status === 200;
    };
    await until(look, () => `${wallet} ${position} ${seen}`, endMs - performance.now());
  }

  /** A deposit into every wallet of the load, each settled: every partition is processed. */
  async settlesEverywhere(url: string, withinMs = SETTLES_WITHIN_MS): Promise<void> {
    const wallets = newWallets(this.prefix, WALLETS);
    await Promise.all(wallets.map(({ name }) => this.settles(url, name, withinMs)));
  }

  /** What is wrong with the log, the answers, the tables, or with tables that are built anew. */
  async faults(): Promise<readonly string[]> {
    const { witness, ports, prefix } = this;
    const folder = join(this.folder.path, "verdict");
    const { faults } = await judgeRun({
      site: clusterSite({ brokers: this.judged, prefix, folder }),
      witness,
      ports,
      stop: () => this.stop(),
    });
    return faults;
  }

  /** Who runs each partition of a group, in order; null: nobody. */
  async owners(group: string): Promise<readonly (string | null)[]> {
    this.log ??= openKafkaLog({
      ...{ brokers: this.judged.split(","), clientId: `${this.prefix}look`, tls: null, sasl: null },
      ...{ prefix: this.prefix, create: false, defaults: {}, settings: {}, nowMs: Date.now },
    });
    return (await (await this.log).owners(group)).map(({ owner }) => owner);
  }

  /** Resolves once every partition of every group has an owner, and they are so many. */
  async isSharedBy(members: number, withinMs = SETTLES_WITHIN_MS): Promise<void> {
    let seen = "";
    const look = async () => {
      const all = await Promise.all(GROUPS.map((group) => this.owners(group)));
      seen = JSON.stringify(all);
      return all.every((owners) => {
        const shares = [...Map.groupBy(owners, (owner) => owner).values()].map((own) => own.length);
        const isWhole = owners.length > 0 && !owners.includes(null) && shares.length === members;
        return isWhole && Math.max(...shares) - Math.min(...shares) <= 1;
      });
    };
    await until(look, () => seen, withinMs);
  }

  /** Every program that runs ends by itself and with success. */
  async stop(): Promise<void> {
    this.ports = [];
    for (const program of this.programs.splice(0)) {
      const { code, err } = await program.stop();
      if (code !== 0) this.witness.problems.push(`a program ended with code ${code}: ${err}`);
    }
  }

  /** It was killed, or ended by itself. */
  forget(program: Running): void {
    this.programs.splice(this.programs.indexOf(program), 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const program of this.programs) await program[Symbol.asyncDispose]();
    await (await this.log)?.close();
    this.folder[Symbol.dispose]();
  }

  /** A program that its test awaits by itself. */
  start(machine: string, ...args: string[]): Running {
    const program = new Running({ folder: this.folder.path }, ...args, ...this.flags(machine));
    this.programs.push(program);
    return program;
  }

  private flags(machine: string): string[] {
    const data = join(this.folder.path, machine);
    return ["--brokers", this.brokers, "--prefix", this.prefix, "--data", data];
  }
}
