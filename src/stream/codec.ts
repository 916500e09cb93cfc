/**
 * Codecs: message <-> bytes. A codec is total on what it wrote; `decode` throws on anything that
 * it cannot read, and the engine sends such a record to the group's dead letters.
 */

import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";

export interface Codec<M> {
  /** The message type's name, for listings: `example.v1.Order`, `json`. */
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
    encode: (message) => {
      const text = JSON.stringify(message) as string | undefined;
      if (text === undefined) throw new TypeError(`${typeof message} is no JSON value`);
      return encoder.encode(text);
    },
    decode: (bytes) => JSON.parse(decoder.decode(bytes)) as M,
  };
}
