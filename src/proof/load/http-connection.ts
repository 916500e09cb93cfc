/**
 * One keep-alive HTTP/1.1 connection, a request at a time: the bytes prepared by the caller, no
 * more of the answer parsed than is needed.
 *
 *   send(request) ──socket──> server ──bytes──> status, body ──> onAnswer
 *
 * Bun's fetch costs several times as much as the server under test; a raw socket costs little
 * enough that both fit on two cores.
 */

import type { Socket } from "bun";

export interface Answer {
  readonly status: number;
  readonly body: string;
  /** By its Retry-After in seconds; null: it has none. */
  readonly retryAfterMs: number | null;
}

/** The answer, or null when the connection broke before it was complete. */
export type OnAnswer = (answer: Answer | null) => void;

const HEAD_END = "\r\n\r\n";
const HTTP_PORT = 80;
const HTTPS_PORT = 443;
/** Far longer than it takes: whoever says nothing by then speaks no TLS. */
const HANDSHAKE_MS = 10_000;

/** Who answers is not whom the caller asks for, as far as its certificate tells. */
export class UntrustedError extends Error {
  override readonly name = "UntrustedError";
}

/** Who answers does not speak TLS, or none that both know. */
export class NoHttpsError extends Error {
  override readonly name = "NoHttpsError";
}

export class HttpConnection {
  private received = "";
  private onAnswer: OnAnswer | null = null;
  private isOpen = true;
  private constructor(private readonly socket: Pick<Socket, "write" | "terminate">) {}

  /**
   * `ca`: PEM of the authority that a certificate must be of; null: one that the system trusts.
   * Rejects when nobody listens, or with `UntrustedError` or `NoHttpsError`: nothing was sent then.
   */
  static async open(
    { protocol, hostname, port }: URL,
    ca: string | null = null,
  ): Promise<HttpConnection> {
    let connection: HttpConnection | null = null;
    const isSecure = protocol === "https:";
    const shaken = Promise.withResolvers<void>();
    shaken.promise.catch(() => {}); // it may fail before it is waited for
    const socket: Socket = await Bun.connect({
      hostname: hostname.replace(/^\[(.*)\]$/, "$1"), // IPv6
      port: port === "" ? (isSecure ? HTTPS_PORT : HTTP_PORT) : Number(port),
      ...(isSecure ? { tls: ca === null ? true : { ca } } : {}),
      socket: {
        binaryType: "buffer",
        data: (_socket, bytes) => connection?.take(bytes),
        handshake: (_socket, _isDone, error) =>
          error === null ? shaken.resolve() : shaken.reject(handshakeError(error)),
        close: () => {
          shaken.reject(new Error("it broke before HTTPS was agreed on"));
          connection?.broke();
        },
        error: () => connection?.broke(),
      },
    });
    if (isSecure) {
      const late = new Error(`HTTPS was not agreed on within ${HANDSHAKE_MS / 1_000} s`);
      const timer = setTimeout(() => shaken.reject(late), HANDSHAKE_MS);
      try {
        await shaken.promise;
      } catch (error) {
        socket.terminate();
        throw error;
      } finally {
        clearTimeout(timer);
      }
    }
    socket.setNoDelay(true);
    connection = new HttpConnection(socket);
    return connection;
  }

  /** Waits for an answer. */
  get isBusy(): boolean {
    return this.onAnswer !== null;
  }

  get isBroken(): boolean {
    return !this.isOpen;
  }

  /** One at a time. Requests are far smaller than a socket's buffer: a write is never partial. */
  send(request: string, onAnswer: OnAnswer): void {
    if (!this.isOpen) return onAnswer(null);
    this.onAnswer = onAnswer;
    this.socket.write(request);
  }

  /** What waits for an answer gets null. Idempotent. */
  close(): void {
    if (!this.isOpen) return;
    this.socket.terminate();
    this.broke();
  }

  private take(bytes: Buffer): void {
    this.received += bytes.toString("latin1");
    const headEnd = this.received.indexOf(HEAD_END);
    if (headEnd < 0) return;
    const bodyStart = headEnd + HEAD_END.length;
    const length = headerNumber(this.received, headEnd, CONTENT_LENGTH);
    // Chunked, or it ends with its connection: none of the service's is so.
    if (length === null) return this.close();
    const end = bodyStart + length;
    if (this.received.length < end) return;
    const status = Number(this.received.slice(9, 12));
    const body = this.received.slice(bodyStart, end);
    const waitS = status === 200 ? null : headerNumber(this.received, headEnd, RETRY_AFTER);
    this.received = this.received.slice(end);
    this.answer({ status, body, retryAfterMs: waitS === null ? null : 1_000 * waitS });
  }

  private broke(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.answer(null);
  }

  private answer(answer: Answer | null): void {
    const { onAnswer } = this;
    this.onAnswer = null;
    onAnswer?.(answer);
  }
}

/** The runtime tells of all that a handshake can fail with in one way, told apart by its code. */
function handshakeError(error: Error): Error {
  if ((error as { readonly code?: string }).code !== "EPROTO") {
    return new UntrustedError(error.message);
  }
  return new NoHttpsError(`HTTPS was not agreed on: ${error.message}`);
}

const CONTENT_LENGTH = /\r\ncontent-length: *(?=[0-9])/i;
const RETRY_AFTER = /\r\nretry-after: *(?=[0-9])/i;

/** Null where the head has no such header with a number. */
function headerNumber(received: string, headEnd: number, header: RegExp): number | null {
  const at = received.search(header);
  if (at < 0 || at > headEnd) return null;
  return Number.parseInt(received.slice(received.indexOf(":", at) + 1), 10);
}
