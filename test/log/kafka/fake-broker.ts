/**
 * A broker of a cluster that a test makes up: it says who is where, and answers nothing else; a
 * connection serves one request at a time, as a broker's does.
 *
 *   Connections ──ApiVersions, Metadata, FindCoordinator──> what the test says now
 */

import { createServer, type Server, type Socket } from "node:net";
import type { ByteWriter } from "../../../src/log/kafka/bytes.ts";
import { FlexibleWriter } from "../../../src/log/kafka/flexible-bytes.ts";
import { onFrames } from "./broken-line.ts";

const ApiKey = { fetch: 1, metadata: 3, findCoordinator: 10, apiVersions: 18 } as const;
/** The newest version of each request: of one that is new enough. */
const VERSIONS: Readonly<Record<number, number>> = {
  [ApiKey.fetch]: 13,
  [ApiKey.metadata]: 12,
  [ApiKey.findCoordinator]: 1,
  [ApiKey.apiVersions]: 2,
};

export interface FakeCluster {
  /** By node; of those that the cluster has now. */
  ports: Readonly<Record<number, number>>;
  readonly topic: string;
  topicId: string;
  /** Of its only partition. */
  leader: number;
  /** Of every group and transaction. */
  coordinator: number;
}

export class FakeBroker implements AsyncDisposable {
  /** Requests that came in, by API key. */
  readonly asked: number[] = [];
  /** The newest version that it knows of each request. */
  versions = VERSIONS;
  /** Null: it takes connections, and says nothing. */
  cluster: FakeCluster | null = null;
  private readonly sockets = new Set<Socket>();
  /** With a request that it never answers, and that all others of the connection wait behind. */
  private readonly busy = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {
    server.on("connection", (client) => {
      this.sockets.add(client);
      client.on("error", () => client.destroy());
      onFrames(client, (frame) => this.answer(client, frame));
    });
  }

  /** Whether a request waits that is never answered. */
  get isBusy(): boolean {
    return this.busy.size > 0;
  }

  static async open(): Promise<FakeBroker> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new FakeBroker(server, (server.address() as { readonly port: number }).port);
  }

  /** Every connection breaks, and no more are taken. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  private answer(client: Socket, frame: Buffer): void {
    const apiKey = frame.readInt16BE(4);
    this.asked.push(apiKey);
    if (this.cluster === null || this.busy.has(client)) return;
    const correlationId = frame.readInt32BE(8);
    const body = new FlexibleWriter().int32(correlationId);
    if (apiKey === ApiKey.apiVersions) writeVersions(body, this.versions);
    else if (apiKey === ApiKey.metadata) writeMetadata(body, this.cluster);
    else if (apiKey === ApiKey.findCoordinator) writeCoordinator(body, this.cluster);
    else return void this.busy.add(client);
    const bytes = body.done();
    const size = Buffer.alloc(4);
    size.writeInt32BE(bytes.length);
    client.write(Buffer.concat([size, bytes]));
  }
}

function writeVersions(body: ByteWriter, versions: typeof VERSIONS): void {
  const each = Object.entries(versions);
  body.int16(0).int32(each.length);
  for (const [apiKey, newest] of each) body.int16(Number(apiKey)).int16(0).int16(newest);
  body.int32(0); // throttle time
}

/** Version 12. */
function writeMetadata(body: FlexibleWriter, cluster: FakeCluster): void {
  const { ports, topic, topicId, leader } = cluster;
  body.noTags().int32(0);
  body.compactArray(Object.entries(ports), ([nodeId, port]) => {
    body.int32(Number(nodeId)).compactString("127.0.0.1").int32(port).compactString(null).noTags();
  });
  body.compactString("cluster").int32(1); // controller
  body.compactArray([topic], (name) => {
    body.int16(0).compactString(name).uuid(topicId).int8(0);
    body.compactArray([leader], () => {
      body.int16(0).int32(0).int32(leader).int32(0);
      for (let list = 0; list < 3; list += 1) body.compactArray([], () => {}); // its replicas
      body.noTags();
    });
    body.int32(0).noTags();
  });
  body.noTags();
}

/** Version 1. */
function writeCoordinator(body: ByteWriter, { ports, coordinator }: FakeCluster): void {
  body.int32(0).int16(0).string(null).int32(coordinator).string("127.0.0.1");
  body.int32(ports[coordinator] as number);
}
