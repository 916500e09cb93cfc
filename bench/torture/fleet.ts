/**
 * The fleet: every way to run the program at once on one log, each process killed with SIGKILL at
 * random moments and started again soon.
 *
 *   two `serve`, one `up`, a `process` for each group ──kill -9──> gone ──> started again
 *
 * In a cluster `process --all` stands for `up`, which is the same processors beside a server.
 * Only its own children are killed, by their pids.
 */

import { type Child, firstAnswer, freePort, startProgram } from "../children.ts";
import { below, type Random } from "../../src/proof/random.ts";
import type { Site } from "./site.ts";

/** From none, so that a kill meets a start, to long enough that others have taken over. */
const AWAY_MS = 800;
/** Most kills come alone; the first whose share is above a number by chance is struck. */
const STRIKES: readonly { readonly upTo: number; readonly of: (post: Post) => boolean }[] = [
  { upTo: 0.04, of: () => true },
  { upTo: 0.08, of: ({ args }) => args[0] === "process" },
  { upTo: 0.12, of: ({ args }) => args[0] === "serve" },
];
/** A server and a processor together, each by chance. */
const PAIRS_UP_TO = 0.2;

export interface FleetOptions {
  readonly site: Site;
  readonly random: Random;
  /** A file descriptor for what the processes say. */
  readonly errors: number;
  readonly problem: (text: string) => void;
  /** Where a fault may make a process give up: it is started again, and that is no problem. */
  readonly mayGiveUp?: boolean;
  /** A file with the milliseconds that a process's clock is ahead, by its number. */
  readonly clockOf?: (number: number) => string;
}

export interface Post {
  readonly name: string;
  readonly args: readonly string[];
  readonly port: number | null;
  child: Child | null;
  kills: number;
}

export class Fleet {
  kills = 0;
  /** Times that a process gave up by itself. */
  givenUp = 0;
  private isStopping = false;
  private isDown = false;
  private readonly posts: readonly Post[];
  private readonly returning = new Set<Promise<void>>();

  constructor(private readonly options: FleetOptions) {
    const server = (name: string): Post => {
      const port = freePort();
      return { name, args: [name, "--port", String(port)], port, child: null, kills: 0 };
    };
    const processor = (name: string): Post => ({
      name: `process ${name}`,
      args: ["process", name],
      port: null,
      child: null,
      kills: 0,
    });
    this.posts = [
      server("serve"),
      server("serve"),
      options.site.hasUp ? server("up") : processor("--all"),
      processor("collector"),
      processor("detector"),
      processor("flagger"),
    ];
  }

  get ports(): readonly number[] {
    return this.posts.flatMap(({ port }) => port ?? []);
  }

  /** Resolves when the servers answer. */
  async start(): Promise<void> {
    for (const post of this.posts) this.run(post);
    await this.answering();
  }

  get living(): readonly Post[] {
    return this.posts.filter(({ child }) => child !== null);
  }

  get pids(): readonly number[] {
    return this.living.flatMap(({ child }) => child?.pid ?? []);
  }

  /** Kills all; nothing comes back before `raise`. */
  async fell(): Promise<void> {
    this.isDown = true;
    await Promise.all(this.returning);
    await this.killAll(this.living);
  }

  raise(): void {
    this.isDown = false;
    for (const post of this.posts) if (post.child === null) this.run(post);
  }

  /** Asks a process to stop, however it then ends, and starts it again. */
  async restart(post: Post): Promise<void> {
    const { child } = post;
    if (child === null) return;
    post.child = null;
    await child.stop();
    this.comeBack(post);
  }

  /** Kills one process that is there, or several at once; each comes back by itself. */
  async strike(): Promise<void> {
    const { random } = this.options;
    const { living } = this;
    const one = (posts: readonly Post[]) => {
      const at = below(random, posts.length);
      return posts.slice(at, at + 1);
    };
    const chance = random();
    const many = STRIKES.find(({ upTo }) => chance < upTo);
    const isProcessor = ({ args }: Post) => args[0] === "process";
    if (many !== undefined) return this.killAll(living.filter(many.of));
    if (chance >= PAIRS_UP_TO) return this.killAll(one(living));
    const [processors, servers] = [true, false].map((wanted) =>
      living.filter((post) => isProcessor(post) === wanted),
    ) as [Post[], Post[]];
    return this.killAll([...one(processors), ...one(servers)]);
  }

  /** `serve 12, up 7, ...` */
  killsByName(): string {
    const counts = new Map<string, number>();
    for (const { name, kills } of this.posts) counts.set(name, (counts.get(name) ?? 0) + kills);
    return [...counts].map(([name, count]) => `${name} ${count}`).join(", ");
  }

  /** Waits until every process is back and every server answers. */
  async recover(): Promise<void> {
    while (this.returning.size > 0) await Promise.all(this.returning);
    await this.answering();
  }

  /** Asks all to stop: each must, by itself and with success. */
  async stop(): Promise<void> {
    this.isStopping = true;
    await Promise.all(
      this.posts.map(async ({ name, child }) => {
        await child?.stop();
        const code = await child?.exited;
        if (code !== 0) this.options.problem(`${name} ended with code ${code} when asked to stop`);
      }),
    );
  }

  private async answering(): Promise<void> {
    for (const { child, port } of this.posts) {
      if (child !== null && port !== null) await firstAnswer(child, port, "/healthz");
    }
  }

  private run(post: Post): void {
    const { site, errors, problem, mayGiveUp = false, clockOf } = this.options;
    const number = this.posts.indexOf(post);
    const clock = clockOf?.(number);
    const child = startProgram([...post.args, ...site.flags(number)], {
      errors,
      ...(clock === undefined ? {} : { clock }),
    });
    post.child = child;
    void child.exited.then((code) => {
      if (this.isStopping || post.child !== child) return;
      if (mayGiveUp) this.givenUp += 1;
      else problem(`${post.name} ended by itself with code ${code}`);
      post.child = null;
      this.comeBack(post);
    });
  }

  private async killAll(victims: readonly Post[]): Promise<void> {
    await Promise.all(victims.map((post) => this.kill(post)));
  }

  private async kill(post: Post): Promise<void> {
    const { child } = post;
    if (child === null) return;
    post.child = null;
    this.kills += 1;
    post.kills += 1;
    await child.kill();
    this.comeBack(post);
  }

  private comeBack(post: Post): void {
    const back = Bun.sleep(this.options.random() * AWAY_MS).then(() => {
      const isWanted = !this.isDown && !this.isStopping;
      if (isWanted && post.child === null) this.run(post);
    });
    this.returning.add(back);
    void back.finally(() => this.returning.delete(back));
  }
}
