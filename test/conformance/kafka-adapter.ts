/**
 * The log on Kafka as the conformance suite wants it. A place is a prefix in the test run's
 * cluster; a child process imports this module to open the same one.
 */

import { Glob } from "bun";
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import type { Claim, EventLog } from "../../src/log/event-log.ts";
import { Connections, type KafkaAccess } from "../../src/log/kafka/connections.ts";
import type { GroupWriter } from "../../src/log/kafka/group-writer.ts";
import { SESSION_MS } from "../../src/log/kafka/limits.ts";
import { openKafkaLog } from "../../src/log/kafka/kafka-log.ts";
import type Broker from "kafkajs/src/broker/index.js";
import type { ProtocolRequest } from "kafkajs/src/broker/index.js";
import { ErrorCode } from "../../src/log/kafka/wire.ts";
import { openTransactions } from "../../src/log/kafka/transaction.ts";
import { brokerFolder, freshPrefix, hasBrokerFolder, testBrokers } from "../kafka/broker.ts";
import type { LogUnderTest, OpenOptions } from "./log-under-test.ts";

async function access(): Promise<KafkaAccess> {
  const brokers = (await testBrokers()).split(",");
  return { brokers, clientId: "conformance", tls: null, sasl: null };
}

async function open(place: string, options: OpenOptions = {}): Promise<EventLog> {
  const { create = true, settings = {}, nowMs = Date.now, onStep } = options;
  return openKafkaLog({
    ...(await access()),
    prefix: place,
    create,
    defaults: {},
    settings,
    nowMs,
    ...(onStep === undefined ? {} : { onStep }),
  });
}

export const logUnderTest: LogUnderTest = {
  name: "Kafka",
  newPlace: freshPrefix,
  open,
  features: {
    childModule: import.meta.path,
    changelogModes: [true],
    deadOwnerWithinMs: SESSION_MS + 3_000, // a rebalance follows, and the claims are opened
    keepsHangingOwner: false,
    hasOwnClock: false,
    sharesStores: false,
    stepsBeforeWritten: {
      append: ["before send"],
      commit: ["transaction begun", "records written", "before commit"],
    },
    usurp: async (_log, _place, claim: Claim) => {
      const { own } = claim as unknown as { readonly own: { readonly writer: GroupWriter } };
      const connections = new Connections(await access());
      try {
        const transactionalId = own.writer.id;
        await openTransactions({ connections, transactionalId, nowMs: Date.now });
        return true;
      } finally {
        await connections.close();
      }
    },
    loseNextAnswer,
    clean: null,
    damage: hasBrokerFolder ? damage : null,
  },
};

/** In the file of whichever partition holds them; the broker reads it anew for each fetch. */
function damage(place: string, bytes: Uint8Array): void {
  const folder = brokerFolder();
  for (const path of new Glob(`data-*/${place}*/*.log`).scanSync({ cwd: folder, absolute: true })) {
    const at = readFileSync(path).indexOf(bytes);
    if (at < 0) continue;
    const file = openSync(path, "r+");
    writeSync(file, new Uint8Array([(bytes[0] as number) ^ 1]), 0, 1, at);
    closeSync(file);
    return;
  }
  throw new Error(`no log of ${place} in ${folder} holds the bytes to damage`);
}

/**
 * The answer to the next append, or to the next transaction's end, never comes; when it is asked
 * again, the broker has forgotten the producer, or another has begun under its id.
 */
function loseNextAnswer(log: EventLog, isWritten: boolean): void {
  const { parts } = log as unknown as { readonly parts: { readonly all: readonly Connections[] } };
  let isLost = false;
  const lose = async <T>(write: () => Promise<T>, forgotten: () => T): Promise<T> => {
    if (isLost) return forgotten();
    isLost = true;
    if (isWritten) await write();
    throw Object.assign(new Error("the answer is lost"), { name: "KafkaJSRequestTimeoutError" });
  };
  for (const connections of parts.all) {
    const leader = connections.leader.bind(connections);
    connections.leader = async (topic, partition) => {
      const broker = await leader(topic, partition);
      if (topic.endsWith("-progress")) return broker;
      const send = async <T>(request: ProtocolRequest<T>) =>
        (await isAppend(request))
          ? lose(
              () => broker.connectionPool.send(request),
              () => forgottenBy(topic, partition) as T,
            )
          : broker.connectionPool.send(request);
      const connectionPool = Object.assign(Object.create(broker.connectionPool), { send });
      return wrapped(broker, { connectionPool });
    };
    const coordinator = connections.coordinator.bind(connections);
    connections.coordinator = async (of, id) => {
      const broker = await coordinator(of, id);
      const endTxn: typeof broker.endTxn = (options) =>
        lose(
          () => broker.endTxn(options),
          () => {
            throw Object.assign(new Error("another has begun"), { type: "INVALID_PRODUCER_EPOCH" });
          },
        );
      return wrapped(broker, { endTxn });
    };
  }
}

function wrapped(broker: Broker, over: Partial<Broker>): Broker {
  return new Proxy(broker, {
    get: (target, name) => {
      const own = over[name as keyof Broker] ?? target[name as keyof Broker];
      return typeof own === "function" ? (own as () => unknown).bind(target) : own;
    },
  });
}

/** A produce request outside a transaction: its transactional id is null. */
async function isAppend({ request }: ProtocolRequest<unknown>): Promise<boolean> {
  return request.apiName === "Produce" && (await request.encode()).buffer.readInt16BE(0) === -1;
}

function forgottenBy(topic: string, partition: number): unknown {
  const errorCode = ErrorCode.unknownProducerId;
  return { answer: [{ topic, partition, errorCode, baseOffset: -1n }] };
}
