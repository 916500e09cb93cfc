/**
 * A connection's socket, as kafkajs wants it, which tells how a peer went away.
 *
 *   TCP, or TLS over it ──> data ──> kafkajs        closed too early ──> error with a code
 *
 * With kafkajs's own, a peer that closes within the TLS handshake, or before it answers, or that
 * speaks TLS to a client without it, looks like a broker that went away.
 */

import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";

/** A middle box forgets a connection that is silent for some minutes. */
const KEEP_ALIVE_MS = 60_000;
/** Of a TLS record that is an alert, in every version (RFC 8446, section 5.1). */
const TLS_ALERT = [0x15, 0x03] as const;

export const SocketCode = {
  /** Within the TLS handshake. */
  closedInHandshake: "CLOSED_IN_HANDSHAKE",
  /** Once connected, before it sent a byte. */
  closedUnanswered: "CLOSED_UNANSWERED",
  /** And this side does not. */
  peerSpeaksTls: "PEER_SPEAKS_TLS",
} as const;

export interface SocketOptions {
  readonly host: string;
  readonly port: number;
  /** Null: no TLS. */
  readonly ssl: ConnectionOptions | null;
  readonly onConnect: () => void;
}

export function openSocket({ host, port, ssl, onConnect }: SocketOptions): Socket {
  let isConnected = false;
  let isAnswered = false;
  let hasFailed = false;
  const connected = () => {
    isConnected = true;
    onConnect();
  };
  const servername = isIP(host) === 0 ? { servername: host } : {};
  const socket =
    ssl === null
      ? connectTcp({ host, port }, connected)
      : connectTls({ host, port, ...servername, ...ssl }, connected);
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  const fail = (code: string, what: string) => {
    if (hasFailed) return;
    socket.emit("error", Object.assign(new Error(what), { code })); // before kafkajs hears the end
    socket.destroy();
  };
  const closed = () => {
    if (!isConnected) fail(SocketCode.closedInHandshake, "closed while it was opened");
    else if (!isAnswered) fail(SocketCode.closedUnanswered, "closed before the first answer");
  };
  socket.on("error", () => {
    hasFailed = true;
  });
  socket.once("data", (bytes: Uint8Array) => {
    isAnswered = true;
    const isAlert = TLS_ALERT.every((byte, index) => bytes[index] === byte);
    if (ssl === null && isAlert) fail(SocketCode.peerSpeaksTls, "the broker speaks TLS");
  });
  socket.once("end", closed);
  return socket;
}
