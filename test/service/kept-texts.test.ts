import { expect, test } from "bun:test";
import fc from "fast-check";
import { KeptTexts } from "../../src/service/kept-texts.ts";

const MAX_TEXTS = 32;

/** Few hashes, so that keys collide; keys of which one begins as another. */
const hash = fc.constantFrom(0, 1, -1, 2 ** 31 - 1, -(2 ** 31));
const key = fc.uint8Array({ maxLength: 2 }).map((bytes) => bytes.map((byte) => byte & 1));
const text = fc.oneof(
  fc.string({ unit: "binary" }).map((each) => each.toWellFormed()),
  fc.constant("x".repeat(300)),
);

test("gives a key's own text or none, whatever collides and however full it is", () => {
  const asked = fc.record({ hash, key, text, isCleared: fc.nat(9).map((n) => n === 0) });
  fc.assert(
    fc.property(fc.array(asked, { maxLength: 200 }), (all) => {
      const kept = new KeptTexts(MAX_TEXTS);
      const told = new Map<string, string>();
      for (const each of all) {
        if (each.isCleared) {
          kept.clear();
          told.clear();
        }
        const name = `${each.hash}/${each.key.join()}`;
        const found = kept.get(each.hash, each.key);
        if (found !== null) {
          expect(found).toBe(told.get(name) as string);
          continue;
        }
        kept.add(each.hash, each.key, each.text);
        told.set(name, each.text);
        expect(kept.get(each.hash, each.key)).toBe(each.text);
      }
    }),
  );
});

const KEY = new Uint8Array([1]);

test("keeps as many texts as it says, and begins anew with the next", () => {
  const kept = new KeptTexts(MAX_TEXTS);
  const get = (n: number) => kept.get(n, KEY);
  for (let n = 0; n < MAX_TEXTS; n += 1) kept.add(n, KEY, `${n}`);
  for (let n = 0; n < MAX_TEXTS; n += 1) expect(get(n)).toBe(`${n}`);
  kept.add(MAX_TEXTS, KEY, "next");
  expect(get(MAX_TEXTS)).toBe("next");
  for (let n = 0; n < MAX_TEXTS; n += 1) expect(get(n)).toBeNull();
});

test("leaves out a text that is larger than all its room", () => {
  const kept = new KeptTexts(MAX_TEXTS);
  kept.add(1, KEY, "small");
  kept.add(2, KEY, "x".repeat(MAX_TEXTS * 1_024));
  expect(kept.get(1, KEY)).toBe("small");
  expect(kept.get(2, KEY)).toBeNull();
});
