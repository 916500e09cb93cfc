/**
 * The keys that are good now, found by their secret.
 *
 *   secret ──sha-256──> hash ──> key, compared in constant time, or null
 *
 * Looking a hash up takes longer or shorter by the hash, which tells nothing: whoever could learn a
 * part of a kept hash by it would have to find a secret that hashes so, out of 2^256. The last word
 * is a comparison of the whole hash in constant time all the same.
 */

import { timingSafeEqual } from "node:crypto";
import { type ApiKey, hashOf } from "./api-key.ts";

export class KeyRing {
  private keys: ReadonlyMap<string, ApiKey> = new Map();

  constructor(keys: readonly ApiKey[]) {
    this.use(keys);
  }

  /** From now on these, less the revoked ones. */
  use(keys: readonly ApiKey[]): void {
    const good = keys.filter(({ revokedMs }) => revokedMs === null);
    this.keys = new Map(good.map((key) => [key.hash, key]));
  }

  /** Of the keys that are good. */
  get count(): number {
    return this.keys.size;
  }

  find(secret: string): ApiKey | null {
    const hash = hashOf(secret);
    const key = this.keys.get(hash);
    if (key === undefined) return null;
    return timingSafeEqual(Buffer.from(key.hash), Buffer.from(hash)) ? key : null;
  }
}
