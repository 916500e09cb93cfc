/**
 * Health routes: `/healthz`, alive; `/readyz`, whether deposits can be taken.
 *
 *   readiness ──> 200 {"ready":true,...}, or 503 log_unavailable with the same details
 */

import type { Hono } from "hono";
import { problemResponse, ServiceError } from "./problem.ts";
import {
  type GroupStanding,
  type Readiness,
  readiness,
  type ReadinessOptions,
} from "./readiness.ts";

export interface HealthOptions extends ReadinessOptions {
  /** The names of the groups' processors, which commands take. */
  readonly processorNames: Readonly<Record<string, string>>;
}

export function addHealthRoutes(routes: Hono, options: HealthOptions): void {
  routes.get("/healthz", (c) => c.json({ status: "ok" }));
  routes.get("/readyz", async (c) => {
    const now = await readiness(options);
    if (now.problem === null) return c.json({ ready: true, ...told(now, options) });
    const problem = problemResponse(new ServiceError("log_unavailable", now.problem), c.req.path);
    const body = (await problem.json()) as object;
    return c.json({ ...body, ready: false, ...told(now, options) }, 503, {
      "retry-after": problem.headers.get("retry-after") as string,
    });
  });
}

function told({ problem, groups }: Readiness, { processorNames }: HealthOptions) {
  return {
    log: { writable: problem === null, problem },
    groups_without_owner: groups.filter(lacksOwner).map(({ group }) => group),
    groups: groups.map(({ group, lag, partitionsWithoutOwner }) => ({
      group,
      processor: processorNames[group] ?? group,
      lag: Number(lag),
      partitions_without_owner: partitionsWithoutOwner,
    })),
  };
}

function lacksOwner({ partitionsWithoutOwner }: GroupStanding): boolean {
  return partitionsWithoutOwner.length > 0;
}
