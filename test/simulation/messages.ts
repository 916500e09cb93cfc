/**
 * A process's messages to the simulated log and its answers: each an event of the scheduler, and
 * what goes wrong on the way goes wrong here.
 *
 *   call ──latency──> log server ──latency──> answer, refusal, or nobody knows
 */

import { LogError } from "../../src/log/event-log.ts";
import type { Chance } from "./chance.ts";
import { type Conditions, latencyUs } from "./conditions.ts";
import type { Coordinator } from "./coordinator.ts";
import type { Committing } from "./judge.ts";
import type { LogServer } from "./log-server.ts";
import type { Life, Scheduler } from "./scheduler.ts";

/** Before a client learns that nobody knows what became of its request. */
const LONGEST_SILENCE_US = 400_000;

export interface MessageOptions {
  readonly server: LogServer;
  readonly coordinator: Coordinator;
  readonly scheduler: Scheduler;
  readonly chance: Chance;
  readonly conditions: Conditions;
  readonly life: Life;
  /** Looks at every commit that is about to be taken; throws what it finds. */
  readonly judge: { committing(committing: Committing): void };
  /** Tells whoever shares this process's stores. */
  readonly announce: () => void;
}

type Answer<T> = (value: T) => void;

export class Messages {
  constructor(readonly options: MessageOptions) {}

  /** An event at this process, after as long as a message takes. */
  answer(kind: string, about: unknown, run: () => void): void {
    const { scheduler, chance, conditions, life } = this.options;
    scheduler.after(latencyUs(conditions, chance), { life, kind, about, run });
  }

  /** An event at the log, after as long as a message takes. */
  send(kind: string, about: unknown, run: () => void): void {
    const { scheduler, chance, conditions } = this.options;
    const from = `${this.options.life.name}: ${String(about)}`;
    const event = { life: null, kind, about: from, run };
    scheduler.after(latencyUs(conditions, chance), event);
  }

  /** What is known on this side, as of now: no more than an answer in a moment. */
  look<T>(kind: string, about: string, see: () => T): Promise<T> {
    const seen = see();
    return new Promise((resolve) => this.answer(kind, about, () => resolve(seen)));
  }

  /** A request that the log answers at once. */
  ask<T>(kind: string, about: unknown, execute: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.send(kind, about, () => {
        try {
          const value = execute();
          this.answer(`${kind} answered`, about, () => resolve(value));
        } catch (error) {
          this.answer(`${kind} refused`, about, () => reject(error as Error));
        }
      });
    });
  }

  /** A request that writes: the one kind whose outcome may be refused, late, or not known. */
  askToWrite<T>(
    kind: string,
    about: unknown,
    execute: (resolve: Answer<T>, reject: Answer<Error>) => void,
  ): Promise<T> {
    const { scheduler, chance, conditions, life } = this.options;
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => {
        const note = error instanceof LogError ? error.code : String(error);
        this.answer(`${kind} failed`, `${String(about)}: ${note}`, () => reject(error));
      };
      const isUnknown = chance.is(conditions.unknownChance);
      const way = isUnknown ? chance.pick(["lost", "late", "unanswered"] as const) : null;
      if (way !== null) {
        const us = chance.below(LONGEST_SILENCE_US);
        const run = () => reject(unknown(kind));
        scheduler.after(us, { life, kind: `${kind}: outcome unknown (${way})`, about, run });
        if (way === "lost") return;
      }
      const isRefused = way === null && chance.is(conditions.refusedChance);
      const run = () => {
        if (isRefused || conditions.isDown) return fail(unavailable(kind));
        try {
          execute((value) => {
            this.answer(`${kind} answered`, about, () => resolve(value));
          }, fail);
        } catch (error) {
          fail(error as Error);
        }
      };
      if (way !== "late") return this.send(kind, about, run);
      const us = chance.below(2 * LONGEST_SILENCE_US);
      const from = `${life.name}: ${String(about)}`;
      scheduler.after(us, { life: null, kind: `${kind} (late)`, about: from, run });
    });
  }
}

export function unknown(kind: string): LogError {
  return new LogError("outcome_unknown", `nobody knows what became of the ${kind}`);
}

function unavailable(kind: string): LogError {
  return new LogError("unavailable", `the log takes no ${kind} now`);
}
