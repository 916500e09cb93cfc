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
import Broker from "kafkajs/src/broker/index.js";
import connectionPoolBuilder from "kafkajs/src/cluster/connectionPoolBuilder.js";
import { createLogger } from "kafkajs/src/loggers/index.js";
import createSocketFactory from "kafkajs/src/network/socketFactory.js";
import { LogError } from "../event-log.ts";
import { AUTHENTICATE_MS, CONNECT_MS, REQUEST_MS, UNKNOWN_TOPIC_WITHIN_MS } from "./limits.ts";
import { pause } from "./retry.ts";
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
  /** By node, or by address for one that was named by the user. */
  private readonly brokers = new Map<number | string, Promise<Broker>>();
  private readonly addresses = new Map<number, Address>();
  /** Leader of each partition, by topic. */
  private readonly leaders = new Map<string, readonly number[]>();
  private readonly asking = new Map<string, Promise<readonly number[]>>();
  private readonly coordinators = new Map<string, number>();
  private isClosed = false;

  constructor(private readonly access: KafkaAccess) {
    this.pools = connectionPoolBuilder({
      logger: this.kafkajsLogger,
      socketFactory: createSocketFactory(),
      brokers: access.brokers,
      clientId: access.clientId,
      ssl: access.tls ?? undefined,
      sasl: access.sasl ?? undefined,
      connectionTimeout: CONNECT_MS,
      reauthenticationThreshold: AUTHENTICATE_MS,
      requestTimeout: REQUEST_MS,
      enforceRequestTimeout: true,
    });
  }

  /** Of the topics that are named; brokers and the cluster's id come with it. */
  async metadata(topics: readonly string[]): Promise<ClusterMetadata> {
    const found = await metadata(await this.any(), topics);
    for (const { nodeId, host, port } of found.brokers) this.learn(nodeId, { host, port });
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
  async leader(topic: string, partition: number): Promise<Broker> {
    const nodeId = (await this.partitions(topic))[partition];
    if (nodeId === undefined) throw unknownPartition(topic, partition);
    if (nodeId < 0) {
      this.forget(topic);
      throw passing("LEADER_NOT_AVAILABLE", `${topic} partition ${partition} has no leader now`);
    }
    try {
      return await this.broker(nodeId);
    } catch (error) {
      this.forget(topic);
      throw error;
    }
  }

  /** What was known of the topic's leaders is wrong. */
  forget(topic: string): void {
    this.leaders.delete(topic);
  }

  /** One that is connected, else the first that can be. */
  async any(): Promise<Broker> {
    this.assertOpen();
    for (const made of this.brokers.values()) {
      const broker = await made;
      if (broker.isConnected()) return broker;
    }
    let failure: unknown;
    const known = [...this.addresses.keys()].map((nodeId) => () => this.broker(nodeId));
    const named = this.access.brokers.map((name) => () => this.connected(name, addressOf(name)));
    for (const connect of [...known, ...named]) {
      try {
        return await connect();
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  /** The broker that keeps a group or a transaction, connected. */
  async coordinator(of: "group" | "transaction", id: string): Promise<Broker> {
    const key = `${of} ${id}`;
    let nodeId = this.coordinators.get(key);
    if (nodeId === undefined) {
      const { coordinator } = await (await this.any()).findGroupCoordinator({
        groupId: id,
        coordinatorType: of === "group" ? 0 : 1,
      });
      nodeId = coordinator.nodeId;
      this.learn(nodeId, coordinator);
      this.coordinators.set(key, nodeId);
    }
    try {
      return await this.broker(nodeId);
    } catch (error) {
      this.coordinators.delete(key);
      throw error;
    }
  }

  forgetCoordinator(of: "group" | "transaction", id: string): void {
    this.coordinators.delete(`${of} ${id}`);
  }

  /** Idempotent. What waits for an answer is rejected. */
  async close(): Promise<void> {
    this.isClosed = true;
    const brokers = [...this.brokers.values()];
    this.brokers.clear();
    await Promise.all(brokers.map(async (made) => (await made).disconnect()));
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

  private async broker(nodeId: number): Promise<Broker> {
    this.assertOpen();
    const address = this.addresses.get(nodeId);
    if (address === undefined) {
      throw passing("KafkaJSBrokerNotFound", `no broker ${nodeId} is known`);
    }
    return this.connected(nodeId, address);
  }

  private async connected(key: number | string, address: Address): Promise<Broker> {
    let made = this.brokers.get(key);
    if (made === undefined) {
      made = this.make(typeof key === "number" ? key : null, address);
      this.brokers.set(key, made);
    }
    const broker = await made;
    if (!broker.isConnected()) await broker.connect();
    return broker;
  }

  private async make(nodeId: number | null, address: Address): Promise<Broker> {
    return new Broker({
      connectionPool: await this.pools.build(address),
      logger: this.kafkajsLogger,
      nodeId,
      authenticationTimeout: AUTHENTICATE_MS,
      allowAutoTopicCreation: false,
    });
  }

  /** A broker that has moved is connected anew. */
  private learn(nodeId: number, { host, port }: Address): void {
    const known = this.addresses.get(nodeId);
    if (known?.host === host && known.port === port) return;
    this.addresses.set(nodeId, { host, port });
    const old = this.brokers.get(nodeId);
    this.brokers.delete(nodeId);
    old?.then((broker) => broker.disconnect()).catch(() => {}); // it is gone already
  }

  private assertOpen(): void {
    if (this.isClosed) throw new LogError("closed", "the log is closed: open it again");
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

function addressOf(name: string): Address {
  const colon = name.lastIndexOf(":");
  const host = name.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
  return { host, port: Number(name.slice(colon + 1)) };
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
