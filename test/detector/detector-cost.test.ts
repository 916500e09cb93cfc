import { describe, expect, test } from "bun:test";
import { MAX_BLOCK_ENTRIES, MAX_OPEN_BYTES } from "../../src/detector/blocks.ts";
import { walletRow } from "../../src/detector/window-rows.ts";
import { newReads, type Reads } from "../stream/memory-context.ts";
import { type Arrival, type WalletRun, walletRun } from "./wallet-run.ts";

/** Rows that a deposit may read and write, whatever the wallet has; blocks are of the real size. */

const BASE_MS = 1_790_000_000_000;

function filled(count: number, arrival: (i: number) => Arrival): WalletRun {
  const wallet = walletRun();
  for (let i = 0; i < count; i++) wallet.deposit(arrival(i));
  return wallet;
}

function cost(wallet: WalletRun, arrivals: readonly Arrival[]): Reads {
  wallet.context.reads = newReads();
  for (const arrival of arrivals) wallet.deposit(arrival);
  return wallet.context.reads;
}

const rowsRead = (reads: Reads): number =>
  Object.values(reads.byKind).reduce((sum, n) => sum + n, 0);

describe("what a deposit costs", () => {
  test("in order, not exceeding, 20,000 in the window: the wallet row, blocks in turn", () => {
    const wallet = filled(20_000, (i) => ({ timeMs: BASE_MS + i, amountMinor: 1n }));
    const next = Array.from({ length: 640 }, (_, i) => ({
      timeMs: BASE_MS + 20_000 + i,
      amountMinor: 1n,
    }));
    const reads = cost(wallet, next);
    expect(reads.byKind).toEqual({ window: 640 });
    expect(reads.ranges).toBe(0);
    expect(reads.sets).toBeLessThanOrEqual(640 + 2 * (640 / MAX_BLOCK_ENTRIES + 1));
  });

  test("in order, exceeding all along: the same", () => {
    const wallet = filled(20_000, (i) => ({ timeMs: BASE_MS + i, amountMinor: 1_000n }));
    const next = Array.from({ length: 640 }, (_, i) => ({
      timeMs: BASE_MS + 20_000 + i,
      amountMinor: 1_000n,
    }));
    const before = wallet.context.emitted.length;
    const reads = cost(wallet, next);
    expect(wallet.context.emitted.length - before).toBe(640);
    expect(reads.byKind).toEqual({ window: 640 });
    expect(reads.ranges).toBe(0);
  });

  test("in order, one leaving as one comes: each block once, a range for several", () => {
    const wallet = filled(3_000, (i) => ({ timeMs: BASE_MS + i * 100, amountMinor: 1n }));
    const next = Array.from({ length: 640 }, (_, i) => ({
      timeMs: BASE_MS + 300_000 + i * 100,
      amountMinor: 1n,
    }));
    const reads = cost(wallet, next);
    expect(reads.gets).toBeLessThanOrEqual(640 + 640 / MAX_BLOCK_ENTRIES + 1);
    expect(reads.ranges).toBeLessThanOrEqual(640 / MAX_BLOCK_ENTRIES / 4);
    expect(wallet.row().windowCount).toBe(1_200);
  });

  test("after a quiet time, whatever stood in the window: the wallet row alone", () => {
    const wallet = filled(20_000, (i) => ({ timeMs: BASE_MS + i, amountMinor: 1n }));
    const reads = cost(wallet, [{ timeMs: BASE_MS + 20_000 + 120_000, amountMinor: 1n }]);
    expect(reads.byKind).toEqual({ window: 1 });
    expect(wallet.row().windowCount).toBe(1);
  });

  test("in order, half of 20,000 leaving at once: heads, and entries of one block", () => {
    const wallet = filled(20_000, (i) => ({ timeMs: BASE_MS + i * 6, amountMinor: 1n }));
    const reads = cost(wallet, [{ timeMs: BASE_MS + 60_000 + 120_000, amountMinor: 1n }]);
    expect(reads.byKind["block entries"]).toBe(1);
    expect(wallet.row().windowCount).toBe(19_999 - 10_000 + 1);
  });

  test("late, with 20,000 before its window: nothing of them", () => {
    const wallet = walletRun();
    for (let i = 0; i < 20_000; i++) wallet.deposit({ timeMs: BASE_MS + i, amountMinor: 1n });
    const later = BASE_MS + 1_000_000;
    for (let i = 0; i < 10; i++) wallet.deposit({ timeMs: later + i * 10_000, amountMinor: 1n });
    const reads = cost(wallet, [{ timeMs: later + 45_000, amountMinor: 1n }]);
    expect(rowsRead(reads)).toBeLessThanOrEqual(6);
  });

  test("late by little, with 20,000 in the window: not the window's heads", () => {
    const wallet = filled(20_000, (i) => ({ timeMs: BASE_MS + i * 6, amountMinor: 1_000n }));
    const reads = cost(wallet, [{ timeMs: BASE_MS + 119_994 - 30, amountMinor: 1_000n }]);
    expect(rowsRead(reads)).toBeLessThanOrEqual(8);
  });

  test("late in the middle of 20,000, nothing near the limit: heads, and its own block", () => {
    const wallet = filled(20_000, (i) => ({ timeMs: BASE_MS + i * 12, amountMinor: 1n }));
    const reads = cost(wallet, [{ timeMs: BASE_MS + 120_000 - 6, amountMinor: 1n }]);
    expect(reads.byKind["block entries"]).toBe(1);
    expect(reads.byKind["block head"]).toBeLessThanOrEqual(20_000 / MAX_BLOCK_ENTRIES + 5);
  });

  test("late beyond the running window, nothing near the limit: heads, and its own block", () => {
    const wallet = filled(20_000, (i) => ({ timeMs: BASE_MS + i * 24, amountMinor: 1n }));
    const reads = cost(wallet, [{ timeMs: BASE_MS + 240_000 - 6, amountMinor: 1n }]);
    expect(reads.byKind["block entries"]).toBe(1);
    expect(reads.byKind["block head"]).toBeLessThanOrEqual(10_000 / MAX_BLOCK_ENTRIES + 5);
  });

  test("late in the middle of 20,000, only a later window exceeding: few blocks opened", () => {
    // 9,500.00 a minute after the late 450.00; with the 5,000 cents around them they exceed.
    const wallet = walletRun();
    for (let i = 0; i < 20_000; i++) {
      const amountMinor = i === 19_000 ? 950_000n : 1n;
      wallet.deposit({ timeMs: BASE_MS + i * 12, amountMinor });
    }
    const timeMs = BASE_MS + 19_000 * 12 - 60_000 - 1;
    const before = wallet.context.emitted.length;
    const reads = cost(wallet, [{ timeMs, amountMinor: 45_000n }]);
    expect(wallet.context.emitted.length - before).toBe(1);
    // Its own block, the edges of two windows, the block that exceeds, and the evidence: some are
    // read more than once.
    expect(reads.byKind["block entries"]).toBeLessThanOrEqual(12);
  });

  test("with long ids: the row that is written each time stays small", () => {
    const wallet = walletRun();
    for (let i = 0; i < 200; i++) {
      const id = `${"x".repeat(i % 2)}${i}`.padEnd(256, String(i % 10));
      wallet.deposit({ timeMs: BASE_MS + i, amountMinor: 1n, id });
      expect(walletRow.codec.encode(wallet.row()).length).toBeLessThan(MAX_OPEN_BYTES + 400);
    }
    expect(wallet.row().windowCount).toBe(200);
  });
});
