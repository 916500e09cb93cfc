/**
 * Plans that once broke a promise, shrunk: each is run with every check. A plan stands here with
 * what was wrong.
 */

import type { Plan } from "./plan.ts";

export const REGRESSIONS: readonly { readonly was: string; readonly plan: Plan }[] = [];
