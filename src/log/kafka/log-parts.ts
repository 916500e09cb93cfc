/** What a log in a cluster is made of, opened before it is known whether there is one. */

import type { Step } from "./appender.ts";
import { Connections, type KafkaAccess } from "./connections.ts";
import { Fetcher } from "./fetcher.ts";
import { LogMeta } from "./log-meta.ts";
import { TopicNames } from "./names.ts";
import { Topics } from "./topics.ts";

export interface KafkaLogOptions extends KafkaAccess {
  /** Before the names of topics, groups and transactional ids. Empty: none. */
  readonly prefix: string;
  /** Topics that a log of this program has: where they are, `log-meta` must not be missing. */
  readonly ownTopics?: readonly string[];
  /** Make `log-meta` where there is none. */
  readonly create: boolean;
  /** For a log that is made now. */
  readonly defaults: Readonly<Record<string, string>>;
  /** Said explicitly: a log that exists must agree. */
  readonly settings: Readonly<Record<string, string>>;
  /** Unix milliseconds, for records' timestamps until the broker sets its own. */
  readonly nowMs: () => number;
  /** Opened to move another log into this one: it may be half-way there. False unless told. */
  readonly isMoving?: boolean;
  /** For tests: called between the steps of an append or a commit; a throw there is a failure. */
  readonly onStep?: Step;
}

export class LogParts {
  readonly connections: Connections;
  readonly names: TopicNames;
  readonly fetcher: Fetcher;
  readonly topics: Topics;
  readonly meta: LogMeta;
  private readonly all: Connections[] = [];

  constructor(private readonly options: KafkaLogOptions) {
    this.connections = this.connect();
    this.names = new TopicNames(options.prefix);
    this.fetcher = new Fetcher({ quick: this.connect(), waiting: this.connect() });
    this.topics = new Topics(this.connections);
    this.meta = new LogMeta({
      connections: this.connections,
      fetcher: this.fetcher,
      topic: this.names.meta,
      nowMs: options.nowMs,
    });
  }

  /** Connections of their own, closed with the log. */
  connect(): Connections {
    const connections = new Connections(this.options);
    this.all.push(connections);
    return connections;
  }

  async disconnect(connections: Connections): Promise<void> {
    this.all.splice(this.all.indexOf(connections), 1);
    await connections.close();
  }

  async close(): Promise<void> {
    this.fetcher.close();
    await Promise.all(this.all.map((connections) => connections.close()));
  }
}
