/**
 * The HTTP server around a service's handler: takes requests, and leaves none unanswered.
 *
 *   port ──Bun.serve──> fetch ──> answers; stop: no new connections, running requests answered
 */

import { guardDescriptors } from "./spare-descriptors.ts";

export interface ServerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** The option that names the port, for messages. */
  readonly portOption?: string;
  /** Answers one request; never rejects. */
  readonly fetch: (request: Request) => Response | Promise<Response>;
  /** Ends what requests wait for, so that they are answered now. */
  readonly abandon: () => void;
  /** Resolves after so many milliseconds, or when the signal fires. */
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
  /** HTTPS with this; HTTP unless told. */
  readonly tls?: ServerTls | null;
  /** IDLE_TIMEOUT_S unless told; for tests, which do not wait so long. */
  readonly idleTimeoutS?: number;
}

/** PEM texts. */
export interface ServerTls {
  readonly cert: string;
  readonly key: string;
}

export interface RunningServer {
  /** As a browser has it, with the real port. */
  readonly url: string;
  readonly port: number;
  /**
   * New connections get this certificate. What is asked on older ones is answered; those that are
   * idle are closed, as after a while anyway. One that is being made at this moment may be reset,
   * before its client can send anything. Throws ServerError: then all stays as it was.
   */
  useTls(tls: ServerTls): void;
  /**
   * Resolves within 5 s, when every request is answered; idle connections are closed at once.
   * Idempotent.
   */
  stop(): Promise<void>;
}

export type ServerErrorCode =
  /** Another program listens there. */
  | "port_taken"
  /** The host has no such address, or the port needs rights. */
  | "cannot_listen";

/** The message says what to do. */
export class ServerError extends Error {
  override readonly name = "ServerError";
  constructor(
    readonly code: ServerErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/**
 * The service refuses bodies over 16 KiB itself, as JSON and unread. This bounds what a client may
 * announce; a body over it is refused without a word.
 */
const MAX_REQUEST_BYTES = 1024 * 1024 * 1024;
/**
 * Longer than any answer takes, waits of 5 s for what is not settled included. It bounds a body
 * that does not come, too; a head has 12 s, which is Bun's own and cannot be changed.
 */
const IDLE_TIMEOUT_S = 30;
/** At a stop, what waits for processors is answered after so long with what is known. */
const STOP_WAIT_MS = 3_000;
/** And what is not answered after so much more is cut: 5 s is all that a stop may take. */
const STOP_CUT_MS = 1_500;

type Listening = ReturnType<typeof Bun.serve>;

/** Throws ServerError. */
export function startServer(options: ServerOptions): RunningServer {
  const { host, abandon, delay, tls = null } = options;
  if (tls !== null) assertFree(options);
  let current = listen(options, tls);
  const port = current.port as number;
  let endGuard = guardDescriptors(port, options);
  /** The current one, and those before it that have answers to give. */
  const all = new Set([current]);
  const useTls = (next: ServerTls) => {
    endGuard(); // what it holds is free for the new socket
    try {
      const before = current;
      current = listen({ ...options, port }, next);
      all.add(current);
      void before.stop().then(() => all.delete(before));
    } finally {
      endGuard = guardDescriptors(port, options);
    }
  };
  const stop = async () => {
    endGuard(); // first: no gate without a listening socket
    const answered = new AbortController();
    const closed = Promise.all([...all].map((each) => each.stop()));
    void closed.finally(() => answered.abort());
    await delay(STOP_WAIT_MS, answered.signal);
    if (!answered.signal.aborted) {
      abandon();
      await delay(STOP_CUT_MS, answered.signal);
    }
    if (!answered.signal.aborted) await Promise.all([...all].map((each) => each.stop(true)));
    await closed;
  };
  let stopped: Promise<void> | null = null;
  const name = host.includes(":") ? `[${host}]` : host;
  return {
    url: `${tls === null ? "http" : "https"}://${name}:${port}`,
    port,
    useTls,
    stop: () => (stopped ??= stop()),
  };
}

/**
 * A certificate can be changed only by listening anew, beside the socket that is there; and two
 * programs that share a port so would not notice each other.
 */
function assertFree(options: ServerOptions): void {
  if (options.port !== 0) void listen(options, null).stop(true);
}

function listen(options: ServerOptions, tls: ServerTls | null): Listening {
  const { host, port, portOption = "--port", fetch, idleTimeoutS = IDLE_TIMEOUT_S } = options;
  try {
    return Bun.serve({
      hostname: host,
      port,
      fetch,
      idleTimeout: idleTimeoutS,
      maxRequestBodySize: MAX_REQUEST_BYTES,
      development: false,
      ...(tls === null ? {} : { tls }),
      // True is Bun's default outside development: a second server would not notice.
      reusePort: tls !== null,
    });
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    if (code === "EADDRINUSE") {
      throw new ServerError(
        "port_taken",
        `port ${port} of ${host} is taken: stop what uses it, or choose another with ${portOption}`,
        { cause: error },
      );
    }
    const others =
      portOption === "--port" ? "others with --host and --port" : `another with ${portOption}`;
    throw new ServerError(
      "cannot_listen",
      // Bun's own code for a name that nobody knows is now this, now that.
      `cannot listen on ${host} port ${port} (${message}): this machine has no such address, or ` +
        `the port needs rights; choose ${others}`,
      { cause: error },
    );
  }
}
