/** Kafka's primitive types, big-endian: a growing writer and a reader over one buffer. */

const decoder = new TextDecoder();

export class ByteWriter {
  private buffer: Buffer;
  private at = 0;

  constructor(size = 256) {
    this.buffer = Buffer.allocUnsafe(size);
  }

  int8(value: number): this {
    this.at = this.reserve(1).writeInt8(value, this.at);
    return this;
  }

  int16(value: number): this {
    this.at = this.reserve(2).writeInt16BE(value, this.at);
    return this;
  }

  int32(value: number): this {
    this.at = this.reserve(4).writeInt32BE(value, this.at);
    return this;
  }

  uint32(value: number): this {
    this.at = this.reserve(4).writeUInt32BE(value, this.at);
    return this;
  }

  int64(value: bigint): this {
    this.at = this.reserve(8).writeBigInt64BE(value, this.at);
    return this;
  }

  /** Null has the length -1. */
  string(value: string | null): this {
    if (value === null) return this.int16(-1);
    const bytes = Buffer.from(value);
    return this.int16(bytes.length).bytes(bytes);
  }

  /** Zigzag, as in protobuf; for what fits 31 bits. */
  varint(value: number): this {
    const buffer = this.reserve(5);
    let left = ((value << 1) ^ (value >> 31)) >>> 0;
    while (left > 0x7f) {
      buffer[this.at++] = (left & 0x7f) | 0x80;
      left >>>= 7;
    }
    buffer[this.at++] = left;
    return this;
  }

  bytes(value: Uint8Array): this {
    this.reserve(value.length).set(value, this.at);
    this.at += value.length;
    return this;
  }

  get length(): number {
    return this.at;
  }

  /** What was written so far; not a copy. */
  done(): Buffer {
    return this.buffer.subarray(0, this.at);
  }

  private reserve(bytes: number): Buffer {
    if (this.at + bytes > this.buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.at + bytes));
      larger.set(this.done());
      this.buffer = larger;
    }
    return this.buffer;
  }
}

/** Throws RangeError at the end of the buffer. */
export class ByteReader {
  constructor(
    readonly buffer: Buffer,
    public at = 0,
  ) {}

  get left(): number {
    return this.buffer.length - this.at;
  }

  int8(): number {
    this.at += 1;
    return this.buffer.readInt8(this.at - 1);
  }

  int16(): number {
    this.at += 2;
    return this.buffer.readInt16BE(this.at - 2);
  }

  int32(): number {
    this.at += 4;
    return this.buffer.readInt32BE(this.at - 4);
  }

  uint32(): number {
    this.at += 4;
    return this.buffer.readUInt32BE(this.at - 4);
  }

  int64(): bigint {
    this.at += 8;
    return this.buffer.readBigInt64BE(this.at - 8);
  }

  string(): string | null {
    const length = this.int16();
    return length < 0 ? null : decoder.decode(this.bytes(length));
  }

  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.buffer[this.at++];
      if (byte === undefined) throw new RangeError("a varint ends with its buffer");
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1);
    }
    throw new RangeError("a varint has more than 32 bits");
  }

  skipVarlong(): void {
    while ((this.buffer[this.at++] ?? 0) >= 0x80);
  }

  /** Not a copy. */
  bytes(length: number): Buffer {
    if (length < 0 || length > this.left) throw new RangeError(`${length} bytes are not there`);
    this.at += length;
    return this.buffer.subarray(this.at - length, this.at);
  }

  array<T>(read: () => T): T[] {
    return Array.from({ length: Math.max(this.int32(), 0) }, read);
  }
}
