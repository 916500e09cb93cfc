/**
 * Texts by key, kept in one piece of memory.
 *
 *   hash ──slot──> entry: hash, lengths, key's bytes, text's bytes ──same key?──> text
 *
 * Of 100,000 texts the next one asked for is in no cache of the processor. A Map of strings has six
 * objects on the way to a text's characters, 1.4 µs and more; here are a slot and an entry, 0.7.
 */

/** Hash (4 bytes), length of the key (2) and of the text (2). */
const HEAD_BYTES = 8;
const MAX_LENGTH = 0xffff;
/** Bytes of a key and its text, about: for so many there is room. */
const ENTRY_BYTES = 128;

export class KeptTexts {
  /** Where the entry begins; 0 for none. Half of them stay empty, so that a chain is short. */
  private readonly slots: Int32Array;
  /** Untouched memory costs nothing. Nothing begins at 0. */
  private readonly entries: Buffer;
  private end = 1;
  private count = 0;

  /** One text more, or more bytes than `maxTexts` usual ones have, and it begins anew. */
  constructor(private readonly maxTexts: number) {
    this.slots = new Int32Array(2 ** Math.ceil(Math.log2(2 * maxTexts)));
    this.entries = Buffer.allocUnsafeSlow(1 + maxTexts * ENTRY_BYTES);
  }

  /** Null when it isn't kept. `hash` is of the key, signed 32 bits. */
  get(hash: number, key: Uint8Array): string | null {
    const { slots, entries } = this;
    for (let slot = this.firstSlot(hash); ; slot = (slot + 1) & (slots.length - 1)) {
      const at = slots[slot] as number;
      if (at === 0) return null;
      if (entries.readInt32LE(at) !== hash || !this.hasKey(at, key)) continue;
      const start = at + HEAD_BYTES + key.length;
      return entries.toString("utf8", start, start + entries.readUInt16LE(at + 6));
    }
  }

  /** The key must not be kept yet. */
  add(hash: number, key: Uint8Array, text: string): void {
    const { slots, entries } = this;
    const textBytes = Buffer.byteLength(text);
    const bytes = HEAD_BYTES + key.length + textBytes;
    if (textBytes > MAX_LENGTH || key.length > MAX_LENGTH || bytes >= entries.length) return;
    if (this.count === this.maxTexts || this.end + bytes > entries.length) this.clear();
    let slot = this.firstSlot(hash);
    while (slots[slot] !== 0) slot = (slot + 1) & (slots.length - 1);
    slots[slot] = this.end;
    entries.writeInt32LE(hash, this.end);
    entries.writeUInt16LE(key.length, this.end + 4);
    entries.writeUInt16LE(textBytes, this.end + 6);
    entries.set(key, this.end + HEAD_BYTES);
    entries.write(text, this.end + HEAD_BYTES + key.length);
    this.end += bytes;
    this.count += 1;
  }

  clear(): void {
    if (this.count === 0) return;
    this.slots.fill(0);
    this.end = 1;
    this.count = 0;
  }

  private hasKey(at: number, key: Uint8Array): boolean {
    const { entries } = this;
    if (entries.readUInt16LE(at + 4) !== key.length) return false;
    const start = at + HEAD_BYTES;
    for (let index = 0; index < key.length; index += 1) {
      if (entries[start + index] !== key[index]) return false;
    }
    return true;
  }

  /** Mixed (Knuth's multiplicative hashing): the hash's low bits have chosen the partition. */
  private firstSlot(hash: number): number {
    return (Math.imul(hash, 0x9e3779b1) >>> 8) & (this.slots.length - 1);
  }
}
