/**
 * The brokers of a cluster, each connected when it is needed.
 *
 *   addresses ──connect──> a broker for data | any of them for questions ──silent──> another
 *                                                     └──its word refuted for long──> another
 *
 * A broker serves one request of a connection at a time, so questions have connections of their
 * own: on one for data they would wait behind a write that waits for a replica that is gone.
 */

import type Broker from "kafkajs/src/broker/index.js";
import type { ConnectionPool } from "kafkajs/src/broker/index.js";
import { LogError } from "../event-log.ts";
import { BrokerConnection } from "./broker-connection.ts";
import {
  ASK_ANOTHER_AFTER_MS,
  CONNECT_AGAIN_MS,
  CONNECT_NEXT_MS,
  OUTDATED_WITHIN_MS,
  SILENT_MS,
} from "./limits.ts";
import { atMost, isLoginRefused } from "./retry.ts";

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface BrokersOptions {
  /** By the user, as `host:port`. */
  readonly named: readonly string[];
  readonly pool: (address: Address) => Promise<ConnectionPool>;
  readonly logger: unknown;
  /** A connection's requests wait for long. */
  readonly onSilence: () => void;
}

export class Brokers {
  /** By node for data, by address for questions. */
  private readonly connections = new Map<number | string, BrokerConnection>();
  private readonly addresses = new Map<number, Address>();
  /** Since when what is said of each place was refuted, and when last. */
  private readonly refutations = new Map<string, { sinceMs: number; lastMs: number }>();
  /** By address, those whose word was refuted for long: asked last. Since when others are. */
  private readonly doubted = new Set<string>();
  private turnedMs = 0;
  private isClosed = false;

  constructor(private readonly options: BrokersOptions) {}

  /** Without connecting; null when it would have to. */
  connectedNow(nodeId: number): Promise<Broker> | null {
    const known = this.connections.get(nodeId);
    return known?.isUsable === true ? known.opened : null;
  }

  /** For data. */
  async node(nodeId: number): Promise<Broker> {
    this.assertOpen();
    const address = this.addresses.get(nodeId);
    if (address === undefined) {
      throw passing("KafkaJSBrokerNotFound", `no broker ${nodeId} is known`);
    }
    return this.connected(nodeId, address);
  }

  /**
   * For questions: one that is connected, else the first that can be. The next is tried when one
   * takes long, since a host that is gone does not say so.
   */
  async any(): Promise<Broker> {
    this.assertOpen();
    const found = this.answering()?.[1];
    if (found !== undefined) return found.opened;
    const attempts: Promise<Broker>[] = [];
    const isDoubted = (address: Address) => this.doubted.has(nameOf(address));
    const addresses = [...this.addresses.values(), ...this.options.named.map(addressOf)];
    for (const address of addresses.toSorted((a, b) => +isDoubted(a) - +isDoubted(b))) {
      if (isDoubted(address)) this.doubted.clear(); // there is nobody else
      let failure: unknown;
      const attempt = this.connected(nameOf(address), address);
      attempts.push(attempt);
      const settled = attempt.then(
        () => {},
        (error: unknown) => {
          failure = error;
        },
      );
      await atMost(CONNECT_NEXT_MS, settled);
      const made = this.answering()?.[1];
      if (made !== undefined) return made.opened;
      // The next broker would refuse it, too, and a user with too many failures may be locked.
      if (failure !== undefined && isLoginRefused(failure)) throw failure;
    }
    return Promise.any(attempts).catch((error: AggregateError) => {
      throw error.errors.find(isWord) ?? error.errors.at(-1);
    });
  }

  /** Another broker, too, when one is silent: the first answer counts. */
  async ask<T>(question: (broker: Broker) => Promise<T>): Promise<T> {
    const [asked] = this.answering() ?? [];
    const first = this.any().then(question);
    if (await atMost(SILENT_MS, first)) return first;
    if (asked !== undefined) this.doubted.add(asked); // it may count as silent a moment later only
    const second = this.any().then(question);
    return Promise.any([first, second]).catch((error: AggregateError) => {
      throw error.errors.at(-1);
    });
  }

  /**
   * What a broker has said of a place was wrong. One that is cut off from its cluster says the same
   * for as long as that lasts: then the others are asked.
   */
  refuted(place: string, sinceMs: number): void {
    const nowMs = performance.now();
    const before = this.refutations.get(place);
    const isAgain = before !== undefined && nowMs - before.lastMs < OUTDATED_WITHIN_MS;
    const fromMs = Math.max(this.turnedMs, isAgain ? before.sinceMs : sinceMs);
    this.refutations.set(place, { sinceMs: fromMs, lastMs: nowMs });
    if (nowMs - fromMs < ASK_ANOTHER_AFTER_MS) return;
    const [name] = this.answering() ?? [];
    if (name !== undefined) this.doubted.add(name);
    this.turnedMs = nowMs;
  }

  /** Those that the cluster has now. */
  take(brokers: readonly (Address & { readonly nodeId: number })[]): void {
    for (const { nodeId, host, port } of brokers) this.learn(nodeId, { host, port });
    const alive = new Set(brokers.map(({ nodeId }) => nodeId));
    if (alive.size === 0) return; // the word of a broker that has just begun
    for (const nodeId of this.addresses.keys()) if (!alive.has(nodeId)) this.lose(nodeId);
  }

  /** A broker that has moved is connected anew. */
  learn(nodeId: number, { host, port }: Address): void {
    const known = this.addresses.get(nodeId);
    if (known?.host === host && known.port === port) return;
    this.addresses.set(nodeId, { host, port });
    const moved = `broker ${nodeId} is at ${host}:${port} now`;
    this.connections.get(nodeId)?.end(passing("KafkaJSConnectionError", moved));
    this.connections.delete(nodeId);
  }

  /** Idempotent. What waits for an answer is rejected. */
  close(): void {
    this.isClosed = true;
    for (const connection of this.connections.values()) connection.end(closed());
    this.connections.clear();
  }

  /** For questions, connected. */
  private answering(): readonly [string, BrokerConnection] | undefined {
    for (const [key, each] of this.connections) {
      if (typeof key !== "string" || this.doubted.has(key)) continue;
      if (each.isUsable && !each.isSilent) return [key, each];
    }
    return undefined;
  }

  /** Shared by all who ask; one that has just failed is not tried again by each of them. */
  private async connected(key: number | string, address: Address): Promise<Broker> {
    const known = this.connections.get(key);
    if (known !== undefined && !known.isOver) return known.opened;
    const failure = known?.failedWithin(CONNECT_AGAIN_MS) ?? null;
    if (failure !== null) throw failure;
    const connection = new BrokerConnection({
      pool: () => this.options.pool(address),
      logger: this.options.logger,
      nodeId: typeof key === "number" ? key : null,
      name: nameOf(address),
      onSilence: this.options.onSilence,
    });
    this.connections.set(key, connection);
    return connection.opened;
  }

  /** The cluster has lost it: what waits for its answers is told, and goes where it can go on. */
  private lose(nodeId: number): void {
    const address = this.addresses.get(nodeId) as Address;
    this.addresses.delete(nodeId);
    for (const key of [nodeId, nameOf(address)]) {
      const lost = `broker ${nodeId} at ${nameOf(address)} has left the cluster`;
      this.connections.get(key)?.end(passing("KafkaJSConnectionError", lost));
      this.connections.delete(key);
    }
  }

  private assertOpen(): void {
    if (this.isClosed) throw closed();
  }
}

function nameOf({ host, port }: Address): string {
  return `${host}:${port}`;
}

function addressOf(name: string): Address {
  const colon = name.lastIndexOf(":");
  const host = name.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
  return { host, port: Number(name.slice(colon + 1)) };
}

function closed(): LogError {
  return new LogError("closed", "the log is closed: open it again");
}

/** Of a peer, on TLS: it says more than that nobody is at the address of another broker. */
function isWord(error: unknown): boolean {
  const { code } = error as { readonly code?: unknown };
  return typeof code === "string" && !/^E(AI_)?[A-Z]+$/.test(code);
}

/** With a type that `isPassing` knows. */
export function passing(type: string, message: string): Error {
  return Object.assign(new Error(message), { type });
}
