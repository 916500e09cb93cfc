/**
 * How a client of the torture run reaches whichever server it meets, over connections that break
 * whenever a server is killed.
 *
 *   request ──a server by chance──> answer, or null: nobody knows what became of it
 */

import { type Answer, HttpConnection } from "../../src/proof/load/http-connection.ts";
import { below, type Random } from "../../src/proof/random.ts";

export const HOST = "127.0.0.1";
/** Longer than the service takes to say that it can't tell. */
const SILENT_MS = 15_000;

export class Caller {
  private readonly connections = new Map<number, HttpConnection>();

  constructor(
    private readonly ports: readonly number[],
    private readonly random: Random,
  ) {}

  /** One at a time. */
  async call(request: string): Promise<Answer | null> {
    const connection = await this.connect(this.ports[below(this.random, this.ports.length)] ?? 0);
    if (connection === null) return null;
    return new Promise((resolve) => {
      const silent = setTimeout(() => connection.close(), SILENT_MS);
      connection.send(request, (answer) => {
        clearTimeout(silent);
        resolve(answer);
      });
    });
  }

  close(): void {
    for (const connection of this.connections.values()) connection.close();
  }

  private async connect(port: number): Promise<HttpConnection | null> {
    const open = this.connections.get(port);
    if (open !== undefined && !open.isBroken) return open;
    try {
      const connection = await HttpConnection.open(new URL(`http://${HOST}:${port}`));
      this.connections.set(port, connection);
      return connection;
    } catch {
      return null;
    }
  }
}
