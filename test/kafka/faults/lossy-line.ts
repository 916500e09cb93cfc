/**
 * A line to a broker that loses answers to appends when it is told to: a proxy that knows Kafka's
 * framing and nothing more of it.
 *
 *   program ──request──> line ──> broker ──answer──> line ──> program, or both ends closed
 */

import { connect, createServer, type Server, type Socket } from "node:net";

/** Of Kafka's protocol: the API key of a produce request, and where frames have what. */
const PRODUCE = 0;
const SIZE_BYTES = 4;
const API_KEY_AT = 4;
const CORRELATION_IN_REQUEST_AT = 8;
const CORRELATION_IN_ANSWER_AT = 4;

export class LossyLine implements AsyncDisposable {
  /** Answers to appends that were lost. */
  lost = 0;
  private losing = 0;
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {}

  /** A broker that is not there is a connection that closes. */
  static async open(port: number, brokerPort: number): Promise<LossyLine> {
    const server = createServer();
    const line = new LossyLine(server, port);
    server.on("connection", (client) => line.join(client, brokerPort));
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    return line;
  }

  /** The answers to the next so many appends; with Infinity to all until 0 is said. */
  lose(count: number): void {
    this.losing = count;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  private join(client: Socket, brokerPort: number): void {
    const broker = connect(brokerPort, "127.0.0.1");
    const both = [client, broker];
    const close = () => both.forEach((socket) => socket.destroy());
    for (const socket of both) {
      this.sockets.add(socket);
      socket.on("error", close);
      socket.on("close", () => {
        this.sockets.delete(socket);
        close();
      });
    }
    const appends = new Set<number>();
    const requests = new Frames((frame) => {
      if (frame.readInt16BE(API_KEY_AT) === PRODUCE) {
        appends.add(frame.readInt32BE(CORRELATION_IN_REQUEST_AT));
      }
      broker.write(frame);
    });
    const answers = new Frames((frame) => {
      if (appends.delete(frame.readInt32BE(CORRELATION_IN_ANSWER_AT)) && this.losing > 0) {
        this.losing -= 1;
        this.lost += 1;
        return close();
      }
      if (!client.destroyed) client.write(frame);
    });
    client.on("data", (bytes: Buffer) => requests.take(bytes));
    broker.on("data", (bytes: Buffer) => answers.take(bytes));
  }
}

/** Cuts a stream of bytes into frames, each with its size in front. */
class Frames {
  private rest: Buffer = Buffer.alloc(0);

  constructor(private readonly frame: (frame: Buffer) => void) {}

  take(bytes: Buffer): void {
    this.rest = this.rest.length === 0 ? bytes : Buffer.concat([this.rest, bytes]);
    for (;;) {
      if (this.rest.length < SIZE_BYTES) return;
      const size = SIZE_BYTES + this.rest.readInt32BE(0);
      if (this.rest.length < size) return;
      const frame = this.rest.subarray(0, size);
      this.rest = this.rest.subarray(size);
      this.frame(frame);
    }
  }
}
