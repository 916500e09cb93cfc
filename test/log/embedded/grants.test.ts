import { describe, expect, test } from "bun:test";
import { type Grant, Grants } from "../../../src/log/embedded/grants.ts";
import { rejection } from "../../rejection.ts";

class Claim implements Grant {
  isRevoked = false;
  constructor(
    readonly partition: number,
    readonly epoch = 1,
  ) {}
  revoke(): void {
    this.isRevoked = true;
  }
}

/** A signal's listeners, counted. */
function counted(): { controller: AbortController; listeners: () => number } {
  const controller = new AbortController();
  const { signal } = controller;
  let count = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = ((...args: Parameters<typeof add>) => {
    count += 1;
    add(...args);
  }) as typeof add;
  signal.removeEventListener = ((...args: Parameters<typeof remove>) => {
    count -= 1;
    remove(...args);
  }) as typeof remove;
  return { controller, listeners: () => count };
}

function granted(...claims: Claim[]): Grants<Claim> {
  const grants = new Grants<Claim>();
  for (const claim of claims) grants.add(claim);
  return grants;
}

async function isOver(promise: Promise<unknown>): Promise<boolean> {
  const turn = new Promise((resolve) => setImmediate(resolve, "not yet"));
  return (await Promise.race([promise, turn])) !== "not yet";
}

describe("grants", () => {
  const { signal } = new AbortController();

  test("are handed out in the order in which they came, also to one who waits", async () => {
    const [one, two, three] = [new Claim(4), new Claim(1), new Claim(3)];
    const grants = granted(one, two);
    expect(await grants.next(signal)).toBe(one);
    expect(await grants.next(signal)).toBe(two);
    const waiting = grants.next(signal);
    expect(await isOver(waiting)).toBe(false);
    grants.add(three);
    expect(await waiting).toBe(three);
    expect(grants.all()).toEqual([two, three, one]);
  });

  test("end a wait when the signal fires, and leave no listener on it", async () => {
    const { controller, listeners } = counted();
    const grants = granted();
    for (let partition = 0; partition < 5; partition++) {
      const next = grants.next(controller.signal);
      expect(listeners()).toBe(1);
      grants.add(new Claim(partition));
      expect((await next)?.partition).toBe(partition);
      expect(listeners()).toBe(0);
    }
    const [last, empty] = [grants.next(controller.signal), grants.whenGivenBack(controller.signal)];
    expect(listeners()).toBe(2);
    controller.abort();
    expect(await last).toBeNull();
    await empty;
    expect(listeners()).toBe(0);
    grants.add(new Claim(9));
    expect(await grants.next(controller.signal)).toBeNull();
  });

  test("that are revoked stay owned until they are given back", async () => {
    const [one, two] = [new Claim(0), new Claim(1)];
    const grants = granted(one, two);
    grants.revoke(1);
    expect([one.isRevoked, two.isRevoked]).toEqual([false, true]);
    expect(grants.owns(two)).toBe(true);
    grants.revoke(7);
    expect(grants.giveBack(two)).toBe(true);
    expect(grants.giveBack(two)).toBe(false);
    expect(grants.all()).toEqual([one]);
    grants.revokeAll();
    expect(one.isRevoked).toBe(true);
    expect(grants.owns(one)).toBe(true);
  });

  test("that are lost are owned no more, and given back to nobody", () => {
    const [one, two] = [new Claim(0), new Claim(1)];
    const grants = granted(one, two);
    grants.lose(0);
    expect([one.isRevoked, two.isRevoked]).toEqual([true, false]);
    expect(grants.giveBack(one)).toBe(false);
    grants.loseAll();
    expect(two.isRevoked).toBe(true);
    expect(grants.all()).toEqual([]);
    expect(grants.giveBack(two)).toBe(false);
  });

  test("tell an old claim of a partition from the one that came after it", () => {
    const [old, young] = [new Claim(0, 1), new Claim(0, 2)];
    const grants = granted(old);
    grants.lose(0);
    grants.add(young);
    expect(grants.owns(old)).toBe(false);
    expect(grants.giveBack(old)).toBe(false);
    expect(grants.owns(young)).toBe(true);
    grants.revoke(0);
    expect(young.isRevoked).toBe(true);
  });

  test("are waited for while a holder has one, lost ones too, not those still queued", async () => {
    const [one, two, queued] = [new Claim(0), new Claim(1), new Claim(2)];
    const grants = granted(one, two, queued);
    await grants.whenGivenBack(signal); // nobody holds anything yet
    await grants.next(signal);
    await grants.next(signal);
    grants.lose(1);
    const all = grants.whenGivenBack(signal);
    grants.giveBack(one);
    expect(await isOver(all)).toBe(false);
    grants.giveBack(two);
    expect(await isOver(all)).toBe(true);
  });

  test("that have failed throw the error at who waits and at who comes after", async () => {
    const grants = granted(new Claim(0));
    await grants.next(signal);
    const waiting = grants.next(signal);
    const failure = new Error("gone");
    grants.fail(failure);
    expect(await rejection(waiting)).toBe(failure);
    expect(await rejection(grants.next(signal))).toBe(failure);
  });
});
