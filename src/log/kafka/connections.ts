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
import { Brokers, passing } from "./brokers.ts";
import { NO_UUID } from "./flexible-bytes.ts";
import {
  AUTHENTICATE_MS,
  CONNECT_MS,
  CONNECT_NEXT_MS,
  REQUEST_MS,
  UNKNOWN_TOPIC_WITHIN_MS,
} from "./limits.ts";
import { atMost, pause } from "./retry.ts";
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

/** A topic as it was when a broker was asked last. */
export interface KnownTopic {
  /** One that is made anew under its name has another. */
  readonly id: string;
  /** Of each partition; -1 where there is none now. */
  readonly leaders: readonly number[];
}

const UNKNOWN_TOPIC_PAUSE_MS = 50;
const KAFKAJS_WARN = 2;
const logger = getLogger(["log", "kafka"]);

export class Connections {
  private readonly brokers: Brokers;
  private readonly topics = new Map<string, KnownTopic>();
  private readonly asking = new Map<string, Promise<KnownTopic>>();
  private readonly coordinators = new Map<string, number>();
  private readonly finding = new Map<string, Promise<number>>();
  private doubting: Promise<void> | null = null;

  constructor(access: KafkaAccess) {
    const kafkajsLogger = createLogger({ level: KAFKAJS_WARN, logCreator: () => debugLog });
    const pools = connectionPoolBuilder({
      logger: kafkajsLogger,
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
    this.brokers = new Brokers({
      named: access.brokers,
      pool: (address) => pools.build(address),
      logger: kafkajsLogger,
      onSilence: () => this.doubt(),
    });
  }

  /** Of the topics that are named, or with null of all; brokers and cluster's id come with it. */
  async metadata(
    topics: readonly string[] | null,
    options: { readonly tellsRights?: boolean } = {},
  ): Promise<ClusterMetadata> {
    const found = await this.brokers.ask((broker) => metadata(broker, topics, options));
    this.brokers.take(found.brokers);
    return found;
  }

  /** Without asking; null when it is not known. */
  known(topic: string): KnownTopic | null {
    return this.topics.get(topic) ?? null;
  }

  /** As known. Throws `unknown_topic`. */
  async topic(topic: string): Promise<KnownTopic> {
    return this.topics.get(topic) ?? this.topicNow(topic);
  }

  /** As a broker says now, whatever was known. Throws `unknown_topic`. */
  async topicNow(topic: string): Promise<KnownTopic> {
    let asked = this.asking.get(topic);
    if (asked === undefined) {
      asked = this.askForTopic(topic).finally(() => this.asking.delete(topic));
      this.asking.set(topic, asked);
    }
    return asked;
  }

  /** The leader of each partition, as known; -1 where there is none. Throws `unknown_topic`. */
  async partitions(topic: string): Promise<readonly number[]> {
    return (await this.topic(topic)).leaders;
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

  /** What was known of the topic or its leaders is wrong; `sinceMs`, when not just now. */
  forget(topic: string, sinceMs = performance.now()): void {
    if (this.topics.delete(topic)) this.brokers.refuted(topic, sinceMs);
  }

  /** One that is connected, else the first that can be. */
  any(): Promise<Broker> {
    return this.brokers.any();
  }

  /** The broker that keeps a group or a transaction, connected. */
  coordinator(of: "group" | "transaction", id: string): Promise<Broker> {
    const find = () => this.findCoordinator(of, id);
    return this.connectedWhere(find, () => this.forgetCoordinator(of, id));
  }

  forgetCoordinator(of: "group" | "transaction", id: string): void {
    const key = `${of} ${id}`;
    if (this.coordinators.delete(key)) this.brokers.refuted(key, performance.now());
  }

  /** Idempotent. What waits for an answer is rejected. */
  async close(): Promise<void> {
    this.brokers.close();
  }

  private async askForTopic(topic: string): Promise<KnownTopic> {
    const endMs = performance.now() + UNKNOWN_TOPIC_WITHIN_MS;
    for (;;) {
      const { topics } = await this.metadata([topic]);
      const found = topics.find(({ name }) => name === topic);
      if (found !== undefined && found.leaders.length > 0) {
        if (found.id === NO_UUID) throw withoutIds(topic);
        this.topics.set(topic, found);
        return found;
      }
      const isUnknown = found?.errorCode === ErrorCode.unknownTopicOrPartition;
      if (isUnknown && performance.now() > endMs) {
        this.forget(topic);
        throw unknownTopic(topic);
      }
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
    const { coordinator } = await this.brokers.ask((broker) =>
      broker.findGroupCoordinator({ groupId: id, coordinatorType }),
    );
    this.brokers.learn(coordinator.nodeId, coordinator);
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
      const connected = this.brokers.connectedNow(nodeId);
      if (connected !== null) return connected;
      try {
        const opened = this.brokers.node(nodeId);
        if (await atMost(CONNECT_NEXT_MS, opened)) return await opened;
      } catch (error) {
        forget();
        throw error;
      }
      forget();
    }
  }

  /** Is the broker that does not answer still one of the cluster? */
  private doubt(): void {
    this.doubting ??= this.metadata([])
      .catch(() => {}) // nobody knows: what waits goes on waiting
      .then(() => {
        this.doubting = null;
      });
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

/** A cluster that was upgraded, and still speaks as an older one among its brokers. */
function withoutIds(topic: string): LogError {
  return new LogError(
    "unusable_place",
    `the cluster has not given topic ${topic} an id: raise inter.broker.protocol.version to 2.8 ` +
      "or newer",
  );
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
