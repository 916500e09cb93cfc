import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { assign } from "../../src/log/assignment.ts";

/** Owners as a word: one letter a partition, `-` for nobody. */
function owned(word: string): Map<number, string> {
  const owners = new Map<number, string>();
  [...word].forEach((owner, partition) => {
    if (owner !== "-") owners.set(partition, owner);
  });
  return owners;
}

function assigned(members: string, before: string): string {
  const targets = assign({
    partitions: before.length,
    members: [...members],
    owners: owned(before),
  });
  return targets.map((owner) => owner ?? "-").join("");
}

describe("an assignment", () => {
  type Case = readonly [what: string, members: string, before: string, after: string];
  const cases: readonly Case[] = [
    ["nobody is there", "", "----", "----"],
    ["nobody is there any more", "", "aabb", "----"],
    ["one comes", "a", "----", "aaaa"],
    ["there are no partitions", "ab", "", ""],
    ["two come at once", "ab", "--------", "aaaabbbb"],
    ["three share what does not divide", "abc", "--------", "aaabbbcc"],
    ["nothing changes", "ab", "abab", "abab"],
    ["the order of the members is another", "ba", "----", "aabb"],
    ["a second one comes", "ab", "aaaa", "aabb"],
    ["one that sorts first comes", "ab", "bbbb", "bbaa"],
    ["a third one comes", "abc", "aaaabbbb", "aaacbbbc"],
    ["one leaves", "ac", "aabbcc", "aaaccc"],
    ["one comes to share one partition", "ab", "b", "b"],
    ["one that sorts first comes, and shares are uneven", "abc", "bbbbcccc", "bbbaccca"],
    ["shares stay uneven", "ab", "abbab", "abbab"],
    ["one of more members than partitions leaves", "bc", "a-", "bc"],
    ["there are more members than partitions", "abc", "--", "ab"],
    ["an owner is no member", "ab", "xxab", "abab"],
  ];
  test.each(cases)("when %s: %s, %s -> %s", (_, members, before, after) => {
    expect(assigned(members, before)).toBe(after);
  });

  test("leaves alone what a member has no use for, not what it has", () => {
    const wants = (member: string, partition: number) => member !== "a" || partition === 2;
    const options = { partitions: 4, members: ["a", "b"], wants };
    expect(assign({ ...options, owners: owned("----") })).toEqual(["b", "b", "a", null]);
    expect(assign({ ...options, owners: owned("a---") })).toEqual(["a", "b", "a", "b"]);
    expect(assign({ ...options, members: ["a"], owners: owned("-b-b") })).toEqual(
      [null, null, "a", null],
    );
  });

  const anyGroup = fc.record({
    members: fc.uniqueArray(fc.constantFrom(..."abcdefg"), { minLength: 1 }),
    before: fc.array(fc.constantFrom(..."abcdefgxy-"), { maxLength: 24 }),
  });

  const anyTurns = fc.array(fc.nat(), { maxLength: 40 });
  const PLACES = [0, 1, 2, 3, 4, 5, 6];
  const anyOrder = fc.shuffledSubarray(PLACES, { minLength: PLACES.length });

  test("gives every partition to a member, evenly, and moves none that can stay", () => {
    fc.assert(
      fc.property(anyGroup, ({ members, before }) => {
        const after = assigned(members.join(""), before.join(""));
        const count = (member: string) => before.filter((owner) => owner === member).length;
        const sizes = members.map((member) => after.split(member).length - 1);
        expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(before.length);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
        members.forEach((member, index) => {
          const had = count(member);
          const kept = before.filter((owner, at) => owner === member && after[at] === member);
          expect(kept.length).toBe(Math.min(had, sizes[index] as number));
        });
        const share = Math.floor(before.length / members.length);
        const larger = before.length % members.length;
        const most = members.map(count).map((had) => Math.min(had, share));
        const full = members.filter((member) => count(member) > share);
        const atBest = most.reduce((sum, had) => sum + had, 0) + Math.min(larger, full.length);
        expect(before.filter((owner, at) => owner === after[at]).length).toBe(atBest);
        expect(assigned(members.toReversed().join(""), after)).toBe(after);
      }),
    );
  });

  test("is reached by members that act one at a time, each on what it sees, in any order", () => {
    fc.assert(
      fc.property(anyGroup, anyTurns, anyOrder, ({ members, before }, turns, order) => {
        const owners = owned(before.join(""));
        for (const [at, owner] of owners) if (!members.includes(owner)) owners.delete(at);
        const act = (member: string) => {
          const targets = assign({ partitions: before.length, members, owners });
          targets.forEach((target, partition) => {
            if (target === member && !owners.has(partition)) owners.set(partition, member);
            if (target !== member && owners.get(partition) === member) owners.delete(partition);
          });
        };
        for (const turn of turns) act(members[turn % members.length] as string);
        for (const member of members) act(member);
        for (const place of order) if (place < members.length) act(members[place] as string);
        const stable = assign({ partitions: before.length, members, owners });
        expect(stable).toEqual(before.map((_, partition) => owners.get(partition) as string));
      }),
      // Ranked by how much each has, "b" would make way for "a" after it gave back its third.
      { examples: [[{ members: [..."cdefbga"], before: [..."bgabafdb"] }, [], PLACES]] },
    );
  });
});
