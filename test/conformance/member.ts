/** A member of a group, for tests: joins, collects the claims that come, and leaves. */

import type { Claim, EventLog, LogRecord } from "../../src/log/event-log.ts";
import { freshName, until, within } from "./fixture.ts";

export class Member {
  /** In the order in which they came. */
  readonly claims: Claim[] = [];
  private readonly controller = new AbortController();
  private readonly done: Promise<void>;
  private failure: unknown = null;
  private hasEnded = false;

  constructor(
    log: EventLog,
    readonly options: {
      readonly group: string;
      readonly topics: readonly string[];
      readonly changelog?: string;
      readonly isStandIn?: boolean;
      readonly wants?: (partition: number) => boolean;
      /** Gives back at once what is wanted back. */
      readonly isGenerous?: boolean;
    },
  ) {
    const { group, topics, changelog = `${group}-table`, isStandIn = false } = options;
    const { wants = () => true } = options;
    this.done = (async () => {
      const { signal } = this.controller;
      for await (const claim of log.join({
        group,
        topics,
        changelog,
        signal,
        standIn: isStandIn,
        wants,
      })) {
        this.claims.push(claim);
        if (options.isGenerous === true) {
          claim.revoked.addEventListener("abort", () => void claim.release());
        }
      }
    })().then(
      () => {
        this.hasEnded = true;
      },
      (error: unknown) => {
        this.failure = error;
      },
    );
  }

  /** Partitions held now, in order. */
  get held(): number[] {
    return this.claims
      .filter(({ revoked }) => !revoked.aborted)
      .map(({ partition }) => partition)
      .sort((a, b) => a - b);
  }

  /** Waits for a claim on the partition that is not revoked. */
  async claim(partition = 0): Promise<Claim> {
    let found: Claim | undefined;
    await until(`a claim on partition ${partition} of ${this.options.group}`, () => {
      this.check();
      found = this.claims.findLast(
        (claim) => claim.partition === partition && !claim.revoked.aborted,
      );
      return found !== undefined;
    });
    return found as Claim;
  }

  /** Waits until exactly these partitions are held. */
  async holds(...partitions: number[]): Promise<void> {
    await until(`partitions ${partitions} of ${this.options.group}, not ${this.held}`, () => {
      this.check();
      return this.held.join() === partitions.join();
    });
  }

  /** Ends the membership by its signal, gives back what it holds, and waits for the end. */
  async leave(): Promise<void> {
    this.controller.abort();
    await Promise.all(this.claims.map((claim) => claim.release()));
    await this.ended();
  }

  /** Waits for the end that somebody else has caused. Throws what `join` threw. */
  async ended(): Promise<void> {
    await within(this.done, `the end of ${this.options.group}`);
    this.check();
    if (!this.hasEnded) throw new Error("join did not end");
  }

  private check(): void {
    if (this.failure !== null) throw this.failure;
  }
}

/** A member of a fresh group and its claim on partition 0. */
export async function claimOne(
  log: EventLog,
  topics: readonly string[],
  changelog?: string,
): Promise<{ member: Member; claim: Claim; group: string }> {
  const group = freshName("group");
  const member = new Member(log, {
    group,
    topics,
    ...(changelog === undefined ? {} : { changelog }),
  });
  return { member, claim: await member.claim(), group };
}

/** Reads from a claim until so many records are there. */
export async function take(claim: Claim, count: number, maxRecords = 100): Promise<LogRecord[]> {
  const all: LogRecord[] = [];
  while (all.length < count) {
    const records = await within(
      claim.read(Math.min(maxRecords, count - all.length)),
      `record ${all.length + 1} of ${count}`,
    );
    if (records.length === 0) throw new Error(`the claim ended after ${all.length} of ${count}`);
    all.push(...records);
  }
  return all;
}
