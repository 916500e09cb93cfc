/**
 * What flexible versions of Kafka's requests are made of (KIP-482): lengths as varints, one more
 * than they are so that 0 is null, and tagged fields at the end of each structure.
 *
 * Their headers end with tagged fields, too, of which a request has none: its body begins with
 * `noTags`, and its answer with `skipTags`.
 */

import { ByteReader, ByteWriter } from "./bytes.ts";

const decoder = new TextDecoder();
const UUID_BYTES = 16;
/** As Kafka's tools show it: base64url. */
const UUID_ENCODING = "base64url";
/** What stands for no topic, or for one that has no id. */
export const NO_UUID = Buffer.alloc(UUID_BYTES).toString(UUID_ENCODING);

export class FlexibleWriter extends ByteWriter {
  /** Null has the length 0. */
  compactString(value: string | null): this {
    if (value === null) return this.uvarint(0);
    const bytes = Buffer.from(value);
    return this.uvarint(bytes.length + 1).bytes(bytes);
  }

  /** Null: no array at all, which is not an empty one. */
  compactArray<T>(items: readonly T[] | null, write: (item: T) => void): this {
    this.uvarint(items === null ? 0 : items.length + 1);
    items?.forEach(write);
    return this;
  }

  uuid(value: string): this {
    return this.bytes(Buffer.from(value, UUID_ENCODING));
  }

  noTags(): this {
    return this.uvarint(0);
  }

  private uvarint(value: number): this {
    let left = value;
    for (; left > 0x7f; left >>>= 7) this.uint8((left & 0x7f) | 0x80);
    return this.uint8(left);
  }

  private uint8(value: number): this {
    return this.int8((value << 24) >> 24);
  }
}

export class FlexibleReader extends ByteReader {
  compactString(): string | null {
    const length = this.uvarint() - 1;
    return length < 0 ? null : decoder.decode(this.bytes(length));
  }

  /** Null is read as empty. */
  compactArray<T>(read: () => T): T[] {
    return Array.from({ length: Math.max(this.uvarint() - 1, 0) }, read);
  }

  /** Not a copy. Null is read as empty. */
  compactBytes(): Buffer {
    return this.bytes(Math.max(this.uvarint() - 1, 0));
  }

  uuid(): string {
    return this.bytes(UUID_BYTES).toString(UUID_ENCODING);
  }

  skipTags(): void {
    for (let left = this.uvarint(); left > 0; left -= 1) {
      this.uvarint(); // which it is
      this.bytes(this.uvarint());
    }
  }

  private uvarint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.int8() & 0xff;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    throw new RangeError("a varint has more than 32 bits");
  }
}
