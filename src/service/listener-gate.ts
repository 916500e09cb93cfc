/**
 * Closes the way in for new connections and opens it again, while those that are there go on: the
 * event loop does not look at the listening socket.
 *
 *   port ──/proc: who listens──> inode ──/proc: what epoll watches──> entry <──epoll_ctl── gate
 *
 * Bun has no such switch: the one it has closes idle connections, too. What is done here is what
 * nginx does with its listening sockets when it runs out of connections. On Linux with glibc only.
 */

import { dlopen, ptr } from "bun:ffi";
import { closeSync, readdirSync, readFileSync, readlinkSync } from "node:fs";

/** Not to be used any more once the server is asked to stop: the socket's number is given anew. */
export interface ListenerGate {
  close(): void;
  open(): void;
  /** Who waits is let in and closed at once: better than to hang, for whoever can go elsewhere. */
  refuse(): void;
}

/** `EPOLL_CTL_MOD` of epoll_ctl(2). */
const MODIFY = 3;
/** At once: what Bun lets wait, so that who comes again and again holds nothing up. */
const MOST_REFUSED = 512;
/** How /proc/net/tcp writes TCP_LISTEN. */
const LISTENING = "0A";

/** For what this process listens on at the port; null where the system has no such means. */
export function listenerGate(port: number): ListenerGate | null {
  try {
    const { symbols } = dlopen("libc.so.6", {
      epoll_ctl: { args: ["int", "int", "int", "ptr"], returns: "int" },
      accept: { args: ["int", "ptr", "ptr"], returns: "int" },
    });
    const entry = watchedListener(port);
    if (entry === null) return null;
    const watch = (events: number) => {
      const event = epollEvent(events, entry.data);
      const result = symbols.epoll_ctl(entry.epoll, MODIFY, entry.descriptor, ptr(event));
      if (result !== 0) throw new Error(`the listening socket of port ${port} is not watched`);
    };
    const refuse = () => {
      for (let refused = 0; refused < MOST_REFUSED; refused += 1) {
        const connection = symbols.accept(entry.descriptor, null, null);
        if (connection < 0) return; // nobody waits, for it does not block
        closeSync(connection);
      }
    };
    return { close: () => watch(0), open: () => watch(entry.events), refuse };
  } catch {
    return null; // another libc, or no /proc: then accepting stays as Bun has it
  }
}

/** An entry of an epoll instance, as proc_pid_fdinfo(5) tells it. */
interface WatchedListener {
  readonly epoll: number;
  readonly descriptor: number;
  readonly events: number;
  /** What the event loop finds the socket by. */
  readonly data: bigint;
}

function watchedListener(port: number): WatchedListener | null {
  const inodes = listeningInodes(port);
  for (const epoll of readdirSync("/proc/self/fd")) {
    if (linkOf(epoll) !== "anon_inode:[eventpoll]") continue;
    const told = readFileSync(`/proc/self/fdinfo/${epoll}`, "latin1");
    const entries = told.matchAll(/^tfd:\s*(\d+) events:\s*(\w+) data:\s*(\w+) .*ino:(\w+)/gm);
    for (const [, descriptor, events, data, inode] of entries) {
      if (!inodes.has(Number(`0x${inode}`))) continue;
      return {
        epoll: Number(epoll),
        descriptor: Number(descriptor),
        events: Number(`0x${events}`),
        data: BigInt(`0x${data}`),
      };
    }
  }
  return null;
}

/** Of this machine's sockets: other processes may listen at the port of another address. */
function listeningInodes(port: number): Set<number> {
  const portText = port.toString(16).toUpperCase().padStart(4, "0");
  const inodes = new Set<number>();
  for (const table of ["tcp", "tcp6"]) {
    for (const line of readFileSync(`/proc/self/net/${table}`, "latin1").split("\n")) {
      const fields = line.trim().split(/\s+/);
      const [, local = "", , state] = fields;
      if (state === LISTENING && local.endsWith(`:${portText}`)) inodes.add(Number(fields[9]));
    }
  }
  return inodes;
}

/** Null for one that is closed by now. */
function linkOf(descriptor: string): string | null {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return null;
  }
}

/** `struct epoll_event`: packed on x86-64 alone. */
function epollEvent(events: number, data: bigint): Buffer {
  const event = Buffer.alloc(16);
  event.writeUInt32LE(events, 0);
  event.writeBigUInt64LE(data, process.arch === "x64" ? 4 : 8);
  return event;
}
