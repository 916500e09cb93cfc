/**
 * The fleet: every way to run the program at once on one log, each process killed with SIGKILL at
 * random moments and started again soon.
 *
 *   two `serve`, one `up`, `process --all`, `process` of some ──kill -9──> gone ──> started again
 *
 * Only its own children are killed, by their pids.
 */

import { type Child, firstAnswer, freePort, startProgram } from "../children.ts";
import { below, type Random } from "../../src/proof/random.ts";
import type { Site } from "./site.ts";

/** From none, so that a kill meets a start, to long enough that others have taken over. */
const AWAY_MS = 800;
/** Most kills come alone; now and then most of the fleet goes at once. */
const ALL_AT_ONCE = 0.05;

export interface FleetOptions {
  readonly site: Site;
  readonly random: Random;
  /** A file descriptor for what the processes say. */
  readonly errors: number;
  readonly problem: (text: string) => void;
}

interface Post {
  readonly name: string;
  readonly args: readonly string[];
  readonly port: number | null;
  child: Child | null;
}

export class Fleet {
  kills = 0;
  /** Of these, how many ran a group. */
  processorKills = 0;
  private isStopping = false;
  private readonly posts: readonly Post[];
  private readonly returning = new Set<Promise<void>>();

  constructor(private readonly options: FleetOptions) {
    const server = (name: string): Post => {
      const port = freePort();
      return { name, args: [name, "--port", String(port)], port, child: null };
    };
    const processor = (...names: string[]): Post => ({
      name: names.join(" "),
      args: ["process", ...names],
      port: null,
      child: null,
    });
    this.posts = [
      server("serve"),
      server("serve"),
      options.site.hasUp ? server("up") : processor("--all"),
      processor("--all"),
      processor("collector", "detector"),
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

  /** Kills one process that is there, or all at once; each comes back by itself. */
  async strike(): Promise<void> {
    const { random } = this.options;
    const living = this.posts.filter(({ child }) => child !== null);
    const isMassacre = random() < ALL_AT_ONCE;
    const one = below(random, living.length);
    const victims = isMassacre ? living : living.slice(one, one + 1);
    await Promise.all(victims.map((post) => this.kill(post)));
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
    const { site, errors, problem } = this.options;
    const flags = site.flags(this.posts.indexOf(post));
    const child = startProgram([...post.args, ...flags], { errors });
    post.child = child;
    void child.exited.then((code) => {
      if (this.isStopping || post.child !== child) return;
      problem(`${post.name} ended by itself with code ${code}`);
      post.child = null;
      this.comeBack(post);
    });
  }

  private async kill(post: Post): Promise<void> {
    const { child } = post;
    if (child === null) return;
    post.child = null;
    this.kills += 1;
    if (post.args[0] !== "serve") this.processorKills += 1;
    await child.kill();
    this.comeBack(post);
  }

  private comeBack(post: Post): void {
    const back = Bun.sleep(this.options.random() * AWAY_MS).then(() => this.run(post));
    this.returning.add(back);
    void back.finally(() => this.returning.delete(back));
  }
}
