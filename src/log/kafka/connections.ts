/**
 * Connections to a cluster's brokers, and who leads what.
 *
 *   topic and partition, group, transactional id ──metadata──> broker ──request──> answer
 *
 * A broker serves one request of a connection at a time, so what waits long (a fetch for new
 * records, a join) has Connections of its own. kafkajs makes and authenticates the connections
 * and speaks the protocol; what is tried again, and how long, is decided by the callers.
 */

import { getLogger } from "@logtape/logtape";
import type Broker from "kafkajs/src/broker/index.js";
import connectionPoolBuilder from "kafkajs/src/cluster/connectionPoolBuilder.js";
import { createLogger } from "kafkajs/src/loggers/index.js";
import { LogError } from "../event-log.ts";
import { BrokerConnection } from "./broker-connection.ts";
import {
  AUTHENTICATE_MS,
  CONNECT_AGAIN_MS,
  CONNECT_MS,
  CONNECT_NEXT_MS,
  REQUEST_MS,
  SILENT_MS,
  UNKNOWN_TOPIC_WITHIN_MS,
} from "./limits.ts";
import { atMost, isLoginRefused, pause } from "./retry.ts";
import { openSocket } from "./socket.ts";
import { type ClusterMetadata, ErrorCode, metadata } from "./wire.ts";

/** How to reach a cluster. */
export interface KafkaAccess {
  /** `host:port`; any of them that answers. */
  readonly brokers: readonly string[];
  /** Shown in the broker's logs. */
  readonly clientId: string;
  /** As Node's tls.connect has it. Null: no TLS. */
  readonly tls: { readonly ca?: string; readonly cert?: string; readonly key?: string } | null;
  /** Null: no SASL. */
  readonly sasl: {
    readonly mechanism: "plain" | "scram-sha-256" | "scram-sha-512";
    readonly username: string;
    readonly password: string;
  } | null;
}

const UNKNOWN_TOPIC_PAUSE_MS = 50;
const KAFKAJS_WARN = 2;
const logger = getLogger(["log", "kafka"]);

interface Address {
  readonly host: string;
  readonly port: number;
}

export class Connections {
  private readonly pools;
  private readonly kafkajsLogger = createLogger({
    level: KAFKAJS_WARN,
    logCreator: () => debugLog,
  });
  /** By node for data, by address for questions. */
  private readonly brokers = new Map<number | string, BrokerConnection>();
  private readonly addresses = new Map<number, Address>();
  /** Leader of each partition, by topic. */
  private readonly leaders = new Map<string, readonly number[]>();
  private readonly asking = new Map<string, Promise<readonly number[]>>();
  private readonly coordinators = new Map<string, number>();
  private readonly finding = new Map<string, Promise<number>>();
  private doubting: Promise<void> | null = null;
  private isClosed = false;

  constructor(private readonly access: KafkaAccess) {
    this.pools = connectionPoolBuilder({
      logger: this.kafkajsLogger,
      socketFactory: openSocket,
      brokers: access.brokers,
      clientId: access.clientId,
      ssl: access.tls,
      sasl: access.sasl === null ? null : { ...access.sasl }, // kafkajs writes into it
      connectionTimeout: CONNECT_MS,
      reauthenticationThreshold: AUTHENTICATE_MS,
      requestTimeout: REQUEST_MS,
      enforceRequestTimeout: true,
    });
  }

  /** Of the topics that are named, or with null of all; brokers and cluster's id come with it. */
  async metadata(topics: readonly string[] | null): Promise<ClusterMetadata> {
    const found = await this.ask((broker) => metadata(broker, topics));
    for (const { nodeId, host, port } of found.brokers) this.learn(nodeId, { host, port });
    const alive = new Set(found.brokers.map(({ nodeId }) => nodeId));
    if (alive.size === 0) return found; // of a broker that has just begun
    for (const nodeId of this.addresses.keys()) if (!alive.has(nodeId)) this.lose(nodeId);
    return found;
  }

  /** Without asking; null when it is not known. */
  known(topic: string): readonly number[] | null {
    return this.leaders.get(topic) ?? null;
  }

  /** The leader of each partition, as known; -1 where there is none. Throws `unknown_topic`. */
  async partitions(topic: string): Promise<readonly number[]> {
    const known = this.leaders.get(topic);
    if (known !== undefined) return known;
    let asked = this.asking.get(topic);
    if (asked === undefined) {
      asked = this.askForLeaders(topic).finally(() => this.asking.delete(topic));
      this.asking.set(topic, asked);
    }
    return asked;
  }

  /** The partition's leader, connected. Throws `unknown_topic`; kafkajs's errors. */
  leader(topic: string, partition: number): Promise<Broker> {
    const find = async () => {
      const nodeId = (await this.partitions(topic))[partition];
      if (nodeId === undefined) throw unknownPartition(topic, partition);
      if (nodeId >= 0) return nodeId;
      this.forget(topic);
      throw passing("LEADER_NOT_AVAILABLE", `${topic} partition ${partition} has no leader now`);
    };
    return this.connectedWhere(find, () => this.forget(topic));
  }

  /** What was known of the topic's leaders is wrong. */
  forget(topic: string): void {
    this.leaders.delete(topic);
  }

  /**
   * One that is connected, else the first that can be: the next is tried when one takes long,
   * since a host that is gone does not say so. Its connection is for questions: on one for data
   * they would wait behind a write that waits for a replica that is gone.
   */
  async any(): Promise<Broker> {
    this.assertOpen();
    const usable = () =>
      [...this.brokers].find(
        ([key, each]) => typeof key === "string" && each.isUsable && !each.isSilent,
      )?.[1];
    const found = usable();
    if (found !== undefined) return found.opened;
    const attempts: Promise<Broker>[] = [];
    for (const address of [...this.addresses.values(), ...this.access.brokers.map(addressOf)]) {
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
      const made = usable();
      if (made !== undefined) return made.opened;
      // The next broker would refuse it, too, and a user with too many failures may be locked.
      if (failure !== undefined && isLoginRefused(failure)) throw failure;
    }
    return Promise.any(attempts).catch((error: AggregateError) => {
      throw error.errors.find(isWord) ?? error.errors.at(-1);
    });
  }

  /** The broker that keeps a group or a transaction, connected. */
  coordinator(of: "group" | "transaction", id: string): Promise<Broker> {
    const find = () => this.findCoordinator(of, id);
    return this.connectedWhere(find, () => this.forgetCoordinator(of, id));
  }

  forgetCoordinator(of: "group" | "transaction", id: string): void {
    this.coordinators.delete(`${of} ${id}`);
  }

  /** Idempotent. What waits for an answer is rejected. */
  async close(): Promise<void> {
    this.isClosed = true;
    for (const connection of this.brokers.values()) connection.end(closed());
    this.brokers.clear();
  }

  /** Another broker, too, when one is silent: the first answer counts. */
  private async ask<T>(question: (broker: Broker) => Promise<T>): Promise<T> {
    const first = this.any().then(question);
    if (await atMost(SILENT_MS, first)) return first;
    const second = this.any().then(question);
    return Promise.any([first, second]).catch((error: AggregateError) => {
      throw error.errors.at(-1);
    });
  }

  private async askForLeaders(topic: string): Promise<readonly number[]> {
    const endMs = performance.now() + UNKNOWN_TOPIC_WITHIN_MS;
    for (;;) {
      const { topics } = await this.metadata([topic]);
      const found = topics.find(({ name }) => name === topic);
      if (found !== undefined && found.leaders.length > 0) {
        this.leaders.set(topic, found.leaders);
        return found.leaders;
      }
      const isUnknown = found?.errorCode === ErrorCode.unknownTopicOrPartition;
      if (isUnknown && performance.now() > endMs) throw unknownTopic(topic);
      if (!isUnknown) throw passing("LEADER_NOT_AVAILABLE", `${topic} has no leaders now`);
      await pause(UNKNOWN_TOPIC_PAUSE_MS);
    }
  }

  private findCoordinator(of: "group" | "transaction", id: string): Promise<number> {
    const key = `${of} ${id}`;
    const known = this.coordinators.get(key);
    if (known !== undefined) return Promise.resolve(known);
    let finding = this.finding.get(key);
    if (finding === undefined) {
      finding = this.askForCoordinator(of, id).finally(() => this.finding.delete(key));
      this.finding.set(key, finding);
    }
    return finding;
  }

  private async askForCoordinator(of: "group" | "transaction", id: string): Promise<number> {
    const coordinatorType = of === "group" ? 0 : 1;
    const { coordinator } = await this.ask((broker) =>
      broker.findGroupCoordinator({ groupId: id, coordinatorType }),
    );
    this.learn(coordinator.nodeId, coordinator);
    this.coordinators.set(`${of} ${id}`, coordinator.nodeId);
    return coordinator.nodeId;
  }

  /**
   * What takes long to connect to may be gone, which nobody says: meanwhile it is asked again
   * where to go, and the first broker there that is connected will do.
   */
  private async connectedWhere(find: () => Promise<number>, forget: () => void): Promise<Broker> {
    for (;;) {
      const nodeId = await find();
      const known = this.brokers.get(nodeId);
      if (known?.isUsable === true) return known.opened;
      try {
        const opened = this.broker(nodeId);
        if (await atMost(CONNECT_NEXT_MS, opened)) return await opened;
      } catch (error) {
        forget();
        throw error;
      }
      forget();
    }
  }

  private async broker(nodeId: number): Promise<Broker> {
    this.assertOpen();
    const address = this.addresses.get(nodeId);
    if (address === undefined) {
      throw passing("KafkaJSBrokerNotFound", `no broker ${nodeId} is known`);
    }
    return this.connected(nodeId, address);
  }

  /** Shared by all who ask; one that has just failed is not tried again by each of them. */
  private async connected(key: number | string, address: Address): Promise<Broker> {
    const known = this.brokers.get(key);
    if (known !== undefined && !known.isOver) return known.opened;
    const failure = known?.failedWithin(CONNECT_AGAIN_MS) ?? null;
    if (failure !== null) throw failure;
    const connection = new BrokerConnection({
      pool: () => this.pools.build(address),
      logger: this.kafkajsLogger,
      nodeId: typeof key === "number" ? key : null,
      name: nameOf(address),
      onSilence: () => this.doubt(),
    });
    this.brokers.set(key, connection);
    return connection.opened;
  }

  /** A broker that has moved is connected anew. */
  private learn(nodeId: number, { host, port }: Address): void {
    const known = this.addresses.get(nodeId);
    if (known?.host === host && known.port === port) return;
    this.addresses.set(nodeId, { host, port });
    const moved = `broker ${nodeId} is at ${host}:${port} now`;
    this.brokers.get(nodeId)?.end(passing("KafkaJSConnectionError", moved));
    this.brokers.delete(nodeId);
  }

  /** Is a broker that does not answer still one of the cluster? */
  private doubt(): void {
    this.doubting ??= this.metadata([])
      .catch(() => {}) // nobody knows: what waits goes on waiting
      .then(() => {
        this.doubting = null;
      });
  }

  /** The cluster has lost it: what waits for its answers is told, and goes where it can go on. */
  private lose(nodeId: number): void {
    const address = this.addresses.get(nodeId) as Address;
    this.addresses.delete(nodeId);
    for (const key of [nodeId, nameOf(address)]) {
      const lost = `broker ${nodeId} at ${nameOf(address)} has left the cluster`;
      this.brokers.get(key)?.end(passing("KafkaJSConnectionError", lost));
      this.brokers.delete(key);
    }
  }

  private assertOpen(): void {
    if (this.isClosed) throw closed();
  }
}

/** kafkajs calls each lost connection an error; whoever needed it says what that means. */
function debugLog(entry: {
  readonly namespace: string;
  readonly log: { readonly message: string; readonly [key: string]: unknown };
}): void {
  const { namespace, log } = entry;
  const { message, broker } = log;
  logger.debug("kafkajs {namespace}: {message} {broker}", { namespace, message, broker });
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
function passing(type: string, message: string): Error {
  return Object.assign(new Error(message), { type });
}

export function unknownTopic(topic: string): LogError {
  return new LogError(
    "unknown_topic",
    `the log has no topic ${topic}: declare it with ensureTopics`,
  );
}

export function unknownPartition(topic: string, partition: number): LogError {
  return new LogError(
    "unknown_topic",
    `the log has no partition ${partition} of topic ${topic}: declare it with ensureTopics`,
  );
}
