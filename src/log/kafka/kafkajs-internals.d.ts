/**
 * The parts of kafkajs 2.2.4 below its public surface that this adapter stands on: connections,
 * the wire protocol, group coordination. Its producers, consumers and retries are not used; the
 * exact version is pinned, and test/kafka/ would fail first.
 */

declare module "kafkajs/src/cluster/connectionPoolBuilder.js" {
  import type { ConnectionPool } from "kafkajs/src/broker/index.js";

  export default function connectionPoolBuilder(options: Record<string, unknown>): {
    build(address: { readonly host: string; readonly port: number }): Promise<ConnectionPool>;
  };
}

declare module "kafkajs/src/broker/index.js" {
  export interface ProtocolRequest<T> {
    readonly request: {
      readonly apiKey: number;
      readonly apiVersion: number;
      readonly apiName: string;
      encode(): Promise<{ readonly buf: Buffer; readonly buffer: Buffer }>;
    };
    readonly response: {
      decode(payload: Buffer): Promise<T>;
      parse(decoded: T): Promise<T>;
    };
    /** At least this long, or the client's own limit where that is longer. */
    readonly requestTimeout?: number;
    readonly logResponseError?: boolean;
  }

  interface ProducerIdentity {
    readonly transactionalId: string;
    readonly producerId: string;
    readonly producerEpoch: number;
  }

  export interface ConnectionPool {
    send<T>(request: ProtocolRequest<T>): Promise<T>;
    isConnected(): boolean;
    /** One for fetches, one for all else. */
    readonly pool: readonly {
      readonly socket?: { destroy(): void };
      rejectRequests(error: Error): void;
      disconnect(): Promise<unknown>;
    }[];
  }

  /** One broker and the connections to it: one for fetches, one for all else. */
  export default class Broker {
    constructor(options: {
      readonly connectionPool: ConnectionPool;
      readonly logger: unknown;
      readonly nodeId: number | null;
      readonly authenticationTimeout: number;
      readonly allowAutoTopicCreation: boolean;
    });
    readonly nodeId: number;
    readonly connectionPool: ConnectionPool;
    /** What the broker knows, by API key; null before it is connected. */
    readonly versions: Readonly<Record<number, { readonly maxVersion: number }>> | null;
    isConnected(): boolean;
    connect(): Promise<void>;
    disconnect(): Promise<void>;
    findGroupCoordinator(options: {
      readonly groupId: string;
      readonly coordinatorType: 0 | 1;
    }): Promise<{
      readonly coordinator: {
        readonly nodeId: number;
        readonly host: string;
        readonly port: number;
      };
    }>;
    listOffsets(options: {
      readonly replicaId: -1;
      readonly isolationLevel: 0 | 1;
      readonly topics: readonly {
        readonly topic: string;
        readonly partitions: readonly { readonly partition: number; readonly timestamp: number }[];
      }[];
    }): Promise<{
      readonly responses: readonly {
        readonly topic: string;
        readonly partitions: readonly { readonly partition: number; readonly offset: string }[];
      }[];
    }>;
    initProducerId(options: {
      readonly transactionalId?: string | undefined;
      readonly transactionTimeout: number;
    }): Promise<{ readonly producerId: string; readonly producerEpoch: number }>;
    addPartitionsToTxn(
      options: ProducerIdentity & {
        readonly topics: readonly {
          readonly topic: string;
          readonly partitions: readonly number[];
        }[];
      },
    ): Promise<unknown>;
    addOffsetsToTxn(options: ProducerIdentity & { readonly groupId: string }): Promise<unknown>;
    /** Throws the first error of any partition. */
    txnOffsetCommit(
      options: ProducerIdentity & {
        readonly groupId: string;
        readonly topics: readonly {
          readonly topic: string;
          readonly partitions: readonly { readonly partition: number; readonly offset: string }[];
        }[];
      },
    ): Promise<unknown>;
    endTxn(options: ProducerIdentity & { readonly transactionResult: boolean }): Promise<unknown>;
    joinGroup(options: {
      readonly groupId: string;
      readonly sessionTimeout: number;
      readonly rebalanceTimeout: number;
      readonly memberId: string;
      readonly protocolType: string;
      readonly groupProtocols: readonly { readonly name: string; readonly metadata: Buffer }[];
    }): Promise<{
      readonly generationId: number;
      readonly leaderId: string;
      readonly memberId: string;
      readonly members: readonly { readonly memberId: string; readonly memberMetadata: Buffer }[];
    }>;
    syncGroup(options: {
      readonly groupId: string;
      readonly generationId: number;
      readonly memberId: string;
      readonly groupAssignment: readonly {
        readonly memberId: string;
        readonly memberAssignment: Buffer;
      }[];
    }): Promise<{ readonly memberAssignment: Buffer }>;
    heartbeat(options: {
      readonly groupId: string;
      readonly groupGenerationId: number;
      readonly memberId: string;
    }): Promise<unknown>;
    leaveGroup(options: { readonly groupId: string; readonly memberId: string }): Promise<unknown>;
    createTopics(options: {
      readonly timeout: number;
      readonly topics: readonly {
        readonly topic: string;
        readonly numPartitions: number;
        readonly replicationFactor: number;
        readonly configEntries: readonly { readonly name: string; readonly value: string }[];
      }[];
    }): Promise<unknown>;
    deleteTopics(options: {
      readonly topics: readonly string[];
      readonly timeout: number;
    }): Promise<unknown>;
    describeConfigs(options: {
      readonly resources: readonly { readonly type: number; readonly name: string }[];
    }): Promise<{
      readonly resources: readonly {
        readonly resourceName: string;
        readonly configEntries: readonly {
          readonly configName: string;
          readonly configValue: string | null;
        }[];
      }[];
    }>;
    describeGroups(options: { readonly groupIds: readonly string[] }): Promise<{
      readonly groups: readonly {
        readonly state: string;
        readonly members: readonly {
          readonly memberId: string;
          readonly clientId: string;
          readonly clientHost: string;
          readonly memberAssignment: Buffer;
        }[];
      }[];
    }>;
  }
}

declare module "kafkajs/src/loggers/index.js" {
  export function createLogger(options: {
    readonly level: number;
    readonly logCreator: () => (entry: {
      readonly namespace: string;
      readonly level: number;
      readonly log: { readonly message: string; readonly [key: string]: unknown };
    }) => void;
  }): unknown;
}

declare module "kafkajs/src/consumer/assignerProtocol.js" {
  export const MemberMetadata: {
    encode(metadata: {
      readonly version: number;
      readonly topics: readonly string[];
      readonly userData?: Buffer;
    }): Buffer;
    decode(bytes: Buffer): {
      readonly version: number;
      readonly topics: readonly string[];
      readonly userData: Buffer | null;
    };
  };
  export const MemberAssignment: {
    encode(assignment: {
      readonly version: number;
      readonly assignment: Readonly<Record<string, readonly number[]>>;
      readonly userData?: Buffer;
    }): Buffer;
    decode(bytes: Buffer): {
      readonly assignment: Readonly<Record<string, readonly number[]>>;
      readonly userData: Buffer | null;
    } | null;
  };
}
