/**
 * Codecs: message <-> bytes. A codec is total on what it wrote; `decode` throws on anything that
 * it cannot read, and the engine sends such a record to the group's dead letters.
 */

import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";

export interface Codec<M> {
  /** The message type's name, for listings: `depositaja.v1.Deposit`, `json`. */
  readonly name: string;
  encode(message: M): Uint8Array;
  /** Throws on bytes that are not such a message. May keep a view of `bytes`. */
  decode(bytes: Uint8Array): M;
}

/** A protobuf message by its generated schema. Unknown fields are kept. */
export function protobufCodec<D extends DescMessage>(schema: D): Codec<MessageShape<D>> {
  return {
    name: schema.typeName,
    encode: (message) => toBinary(schema, message),
    decode: (bytes) => fromBinary(schema, bytes),
  };
}

/** JSON, for examples and small tools. */
export function jsonCodec<M>(): Codec<M> {
  const encoder = new TextEncoder();
  const decoder = new TextDecoder("utf-8", { fatal: true });
  return {
    name: "json",
    encode: (message) => encoder.encode(JSON.stringify(message)),
    decode: (bytes) => JSON.parse(decoder.decode(bytes)) as M,
  };
}
