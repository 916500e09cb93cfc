import { describe, expect, test } from "bun:test";
import { Heartbeats } from "../../../src/log/embedded/heartbeats.ts";

/** A clock that the test sets, and members by their counters. */
function observer() {
  let nowMs = 50_000;
  const heartbeats = new Heartbeats(() => nowMs);
  const rows = (counters: Record<string, number>) =>
    Object.entries(counters).map(([id, counter]) => {
      return { id, counter, pid: 1, started: "", host: "" };
    });
  return {
    heartbeats,
    pass: (ms: number) => {
      nowMs += ms;
    },
    look: (counters: Record<string, number>, couldMove = true) =>
      heartbeats.look(rows(counters), { couldMove }),
    /** An own heartbeat that took so long. */
    show: (counters: Record<string, number>, tookMs = 0) => {
      const startedMs = nowMs;
      nowMs += tookMs;
      heartbeats.shown(startedMs, rows(counters));
    },
  };
}

describe("heartbeats", () => {
  test("have stopped when a counter stands still for over 3 s, and go on when it moves", () => {
    const { heartbeats, look, pass } = observer();
    look({ a: 7, b: 3 });
    pass(3_000);
    look({ a: 8, b: 3 });
    expect(heartbeats.hasStopped({ id: "b", counter: 3 })).toBe(false);
    pass(1);
    expect(heartbeats.hasStopped({ id: "a", counter: 8 })).toBe(false);
    expect(heartbeats.hasStopped({ id: "b", counter: 3 })).toBe(true);
    expect(heartbeats.hasStopped({ id: "b", counter: 4 })).toBe(false);
    look({ a: 8, b: 4 });
    pass(3_000);
    expect(heartbeats.hasStopped({ id: "b", counter: 4 })).toBe(false);
    expect(heartbeats.hasStopped({ id: "a", counter: 8 })).toBe(true);
  });

  test("are not judged by one look, however high the counter, nor after a member was away", () => {
    const { heartbeats, look, pass } = observer();
    expect(heartbeats.hasStopped({ id: "a", counter: 9 })).toBe(false);
    look({ a: 9 });
    expect(heartbeats.hasStopped({ id: "a", counter: 9 })).toBe(false);
    pass(10_000);
    look({});
    look({ a: 9 });
    expect(heartbeats.hasStopped({ id: "a", counter: 9 })).toBe(false);
  });

  test("are not missed in time in which nobody could write", () => {
    const { heartbeats, look, show, pass } = observer();
    look({ a: 1 });
    pass(3_500);
    look({ a: 1 }, false);
    expect(heartbeats.hasStopped({ id: "a", counter: 1 })).toBe(false);
    show({ a: 1 });
    pass(1_000);
    show({ a: 1 }, 2_500); // the own heartbeat waited: the others' may wait still
    expect(heartbeats.hasStopped({ id: "a", counter: 1 })).toBe(false);
    pass(2_500);
    show({ a: 1 }); // and so it did when the last one is long ago
    expect(heartbeats.hasStopped({ id: "a", counter: 1 })).toBe(false);
    for (let seconds = 0; seconds < 3; seconds++) {
      pass(1_000);
      show({ a: 1 });
    }
    pass(1);
    expect(heartbeats.hasStopped({ id: "a", counter: 1 })).toBe(true);
  });

  test("of one's own get through while the last is written less than two of them ago", () => {
    const { heartbeats, show, pass } = observer();
    expect(heartbeats.getThrough).toBe(false);
    show({ a: 1 });
    pass(2_000);
    expect(heartbeats.getThrough).toBe(true);
    pass(1);
    expect(heartbeats.getThrough).toBe(false);
    show({ a: 1 });
    expect(heartbeats.getThrough).toBe(true);
  });

  test("of one's own are due once a second", () => {
    const { heartbeats, show, pass } = observer();
    expect(heartbeats.isDue).toBe(true);
    show({});
    expect(heartbeats.isDue).toBe(false);
    pass(999);
    expect(heartbeats.isDue).toBe(false);
    pass(1);
    expect(heartbeats.isDue).toBe(true);
  });
});
