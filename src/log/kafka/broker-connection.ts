/**
 * The connection to one broker: made once, used until its first failure, then thrown away.
 *
 *   address ──connect──> Broker ──requests──> answers ──a failure──> over, all that wait rejected
 *
 * kafkajs would use it again, which goes wrong: the bytes of a cut-off answer stay in its buffer
 * and shift all that follow, requests that connect at once open a socket each, disconnecting waits
 * for answers that never come, and a broker that hangs counts as connected for ever.
 */

import type { ConnectionPool } from "kafkajs/src/broker/index.js";
import Broker from "kafkajs/src/broker/index.js";
import { LogError } from "../event-log.ts";
import { AUTHENTICATE_MS, CONNECT_MS, SILENT_MS } from "./limits.ts";
import { pause } from "./retry.ts";
import { FETCH, METADATA } from "./wire.ts";

/** What ends a connection. After a timeout nobody knows what else will be answered. */
const BREAKING = new Set([
  "KafkaJSConnectionError",
  "KafkaJSConnectionClosedError",
  "KafkaJSRequestTimeoutError",
]);

export interface BrokerConnectionOptions {
  readonly pool: () => Promise<ConnectionPool>;
  readonly logger: unknown;
  /** Null for one that is known by its address. */
  readonly nodeId: number | null;
  /** `host:port`, for messages. */
  readonly name: string;
  /** Requests wait, and nothing has come for SILENT_MS; called again while it is so. */
  readonly onSilence: () => void;
}

export class BrokerConnection {
  /** Resolves once it is connected and authenticated. */
  readonly opened: Promise<Broker>;
  private readonly ended = Promise.withResolvers<never>();
  private pool: ConnectionPool | null = null;
  private isOpened = false;
  private waiting = 0;
  private heardMs = 0;
  private listening: ReturnType<typeof setInterval> | undefined;
  private ending: { readonly error: Error; readonly atMs: number } | null = null;

  constructor(private readonly options: BrokerConnectionOptions) {
    this.ended.promise.catch(() => {}); // those who wait are told
    this.opened = this.open();
    this.opened.catch(() => {}); // whoever asked for it is told
  }

  /** Whether a request may go out now. */
  get isUsable(): boolean {
    return this.isOpened && !this.isOver;
  }

  /** Whether requests have waited for long: its broker hangs, or has something to wait for. */
  get isSilent(): boolean {
    return this.waiting > 0 && performance.now() - this.heardMs >= SILENT_MS;
  }

  /** Broken, or closed by the broker, which closes idle ones. */
  get isOver(): boolean {
    return this.ending !== null || (this.isOpened && this.pool?.isConnected() !== true);
  }

  /** Why it could not be opened, when that is not longer ago than so much; else null. */
  failedWithin(ms: number): Error | null {
    if (this.isOpened || this.ending === null) return null;
    return performance.now() - this.ending.atMs < ms ? this.ending.error : null;
  }

  /** Idempotent. What waits for an answer is rejected with the error. */
  end(error: Error): void {
    if (this.ending !== null) return;
    this.ending = { error, atMs: performance.now() };
    this.ended.reject(error);
    for (const connection of this.pool?.pool ?? []) {
      connection.rejectRequests(error); // disconnecting would wait for them
      void disconnect(connection);
    }
  }

  private async open(): Promise<Broker> {
    const isOver = new AbortController();
    try {
      const pool = await this.options.pool();
      this.pool = pool;
      this.watch(pool);
      const { logger, nodeId } = this.options;
      const broker = new Broker({
        connectionPool: pool,
        logger,
        nodeId,
        authenticationTimeout: AUTHENTICATE_MS,
        allowAutoTopicCreation: false,
      });
      const late = this.failAfter(CONNECT_MS + AUTHENTICATE_MS, isOver.signal);
      await Promise.race([broker.connect(), this.ended.promise, late]);
      assertNewEnough(broker, this.options.name);
      if (this.ending !== null) throw this.ending.error;
      this.isOpened = true;
      return broker;
    } catch (error) {
      this.end(error as Error);
      throw error;
    } finally {
      isOver.abort();
    }
  }

  /** kafkajs waits for ever for one who closes the door in the middle of a handshake. */
  private async failAfter(ms: number, signal: AbortSignal): Promise<never> {
    await pause(ms, signal);
    const message = `${this.options.name} did not finish connecting within ${ms} ms`;
    throw Object.assign(new Error(message), { name: "KafkaJSConnectionError" });
  }

  private watch(pool: ConnectionPool): void {
    const send = pool.send.bind(pool);
    pool.send = async (request) => {
      if (this.ending !== null) throw this.ending.error;
      this.listen();
      try {
        return await send(request);
      } catch (error) {
        if (BREAKING.has((error as Error).name)) this.end(error as Error);
        throw error;
      } finally {
        this.hear();
      }
    };
  }

  private listen(): void {
    this.waiting += 1;
    if (this.waiting > 1) return;
    this.heardMs = performance.now();
    this.listening = setInterval(() => {
      if (this.isSilent) this.options.onSilence();
    }, SILENT_MS / 2);
  }

  private hear(): void {
    this.waiting -= 1;
    this.heardMs = performance.now();
    if (this.waiting === 0) clearInterval(this.listening);
  }
}

/** A fetch by a topic's name may read on what was made anew under it: there is no way around. */
function assertNewEnough({ versions }: Broker, name: string): void {
  const isUnknown = ({ apiKey, apiVersion }: typeof FETCH) =>
    (versions?.[apiKey]?.maxVersion ?? -1) < apiVersion;
  if (![FETCH, METADATA].some(isUnknown)) return;
  throw new LogError(
    "unusable_place",
    `the broker at ${name} does not know topics by their ids: Kafka 3.1 or newer is needed`,
  );
}

/** kafkajs closes its half only, and lets go of the socket. */
async function disconnect(connection: ConnectionPool["pool"][number]): Promise<void> {
  try {
    await connection.disconnect();
  } finally {
    connection.socket?.destroy();
  }
}
