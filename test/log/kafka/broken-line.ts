/**
 * A broker behind a line that breaks: what becomes of each request is a test's to say.
 *
 *   Connections ──> line ──request──> broker ──answer──> line ──> Connections
 */

import { connect, createServer, type Server, type Socket } from "node:net";
import { Connections } from "../../../src/log/kafka/connections.ts";
import { testBrokers } from "../../kafka/broker.ts";

/** What the line does with a request. */
export type Fate =
  | "pass"
  /** The line breaks before the broker has it. */
  | "lose request"
  /** The broker does it, and the line breaks instead of the answer. */
  | "lose answer"
  /** The broker does it, and half of the answer comes before the line breaks. */
  | "cut answer"
  /** Nothing comes, and the line stays. */
  | "hang";

export const ApiKey = { produce: 0, fetch: 1, endTransaction: 26 } as const;

export class BrokenLine implements AsyncDisposable {
  /** Asked for each request. */
  fate: (apiKey: number) => Fate = () => "pass";
  /** Called with each answer that passes, to change it. */
  alter: (apiKey: number, answer: Buffer) => void = () => {};
  /** Connections that were made to the broker so far. */
  made = 0;
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    private readonly brokerPort: number,
    readonly port: number,
  ) {
    server.on("connection", (client) => this.join(client));
  }

  static async open(): Promise<BrokenLine> {
    const [first = ""] = (await testBrokers()).split(",");
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { readonly port: number };
    return new BrokenLine(server, Number(first.split(":").at(-1)), port);
  }

  get brokers(): readonly string[] {
    return [`127.0.0.1:${this.port}`];
  }

  /** Connections that come through here, whatever address the broker gives itself. */
  connections(): Connections {
    const { brokers, port } = this;
    const made = new Connections({ brokers, clientId: "broken line", tls: null, sasl: null });
    const { brokers: own } = made as unknown as {
      readonly brokers: { learn(nodeId: number, address: object): void };
    };
    const learn = own.learn.bind(own);
    own.learn = (nodeId) => learn(nodeId, { host: "127.0.0.1", port });
    return made;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  private join(client: Socket): void {
    this.made += 1;
    const broker = connect(this.brokerPort, "127.0.0.1");
    const close = () => [client, broker].forEach((socket) => socket.destroy());
    for (const socket of [client, broker]) {
      this.sockets.add(socket);
      socket.on("error", close);
      socket.on("close", () => {
        this.sockets.delete(socket);
        close();
      });
    }
    const fates = new Map<number, Fate>();
    const apiKeys = new Map<number, number>();
    onFrames(client, (frame) => {
      const fate = this.fate(frame.readInt16BE(4));
      apiKeys.set(frame.readInt32BE(8), frame.readInt16BE(4));
      fates.set(frame.readInt32BE(8), fate);
      if (fate === "lose request") return close();
      if (!broker.destroyed) broker.write(frame);
    });
    onFrames(broker, (frame) => {
      const fate = fates.get(frame.readInt32BE(4)) ?? "pass";
      if (fate === "hang" || client.destroyed) return;
      if (fate === "lose answer") return close();
      if (fate === "pass") {
        this.alter(apiKeys.get(frame.readInt32BE(4)) ?? -1, frame);
        return void client.write(frame);
      }
      client.end(frame.subarray(0, Math.ceil(frame.length / 2)));
    });
  }
}

/** A request or an answer is a length of 4 bytes and as many bytes. */
export function onFrames(socket: Socket, take: (frame: Buffer) => void): void {
  let rest: Buffer = Buffer.alloc(0);
  socket.on("data", (bytes: Buffer) => {
    rest = Buffer.concat([rest, bytes]);
    while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
      const size = 4 + rest.readInt32BE(0);
      const frame = rest.subarray(0, size);
      rest = rest.subarray(size);
      take(frame);
    }
  });
}
