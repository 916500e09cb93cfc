import { expect, test } from "bun:test";
import type { Follower, NotFollowed } from "../../src/stream/follower.ts";
import { Followers } from "../../src/stream/followers.ts";

/** A follower in step, as far as not told otherwise. */
function follower(name: string, told: Partial<Pick<Follower, "behind" | "notFollowed">> = {}) {
  return { group: { name }, behind: null, notFollowed: [], ...told } as unknown as Follower;
}

const gone: NotFollowed = { partition: 2, reason: "the topic is gone", forMs: 5 };

test("views have no problem while each copy was in step, or there are none", () => {
  expect(new Followers([]).problem).toBeNull();
  expect(new Followers([follower("a"), follower("b", { notFollowed: [gone] })]).problem).toBeNull();
});

test("a copy that was never in step is named, with the reason where one is known", () => {
  const problemOf = (partition: number) => {
    const behind = follower("b", { behind: partition, notFollowed: [gone] });
    return new Followers([follower("a"), behind]).problem;
  };
  const start = "the view of b is still being brought up to date";
  expect(problemOf(1)).toBe(`${start} (partition 1)`);
  expect(problemOf(2)).toBe(`${start} (partition 2: the topic is gone)`);
});

test("copies that are not followed are told with their group", () => {
  const followers = new Followers([follower("a"), follower("b", { notFollowed: [gone] })]);
  expect(followers.notFollowed).toEqual([{ group: "b", ...gone }]);
});
