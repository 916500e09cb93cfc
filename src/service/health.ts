/**
 * Health routes: `/healthz`, alive; `/readyz`, whether deposits can be taken.
 *
 *   readiness ──> 200 {"ready":true,...}, or 503 log_unavailable with the same details
 */

import type { Hono } from "hono";
import { quietProblemResponse, ServiceError } from "./problem.ts";
import { Readiness, type ReadinessNow, type ReadinessOptions } from "./readiness.ts";
import { SECURE_HEADERS } from "./secure-headers.ts";

export interface HealthOptions extends ReadinessOptions {
  /** The names of the groups' processors, which commands take. */
  readonly processorNames: Readonly<Record<string, string>>;
}

/** Returns what the routes tell of, to be watched while they are served. */
export function addHealthRoutes(routes: Hono, options: HealthOptions): Readiness {
  const readiness = new Readiness(options);
  routes.get("/healthz", (c) => c.json({ status: "ok" }, 200, SECURE_HEADERS));
  routes.get("/readyz", async (c) => {
    const now = await readiness.now();
    if (now.problem === null) {
      return c.json({ ready: true, ...told(now, options) }, 200, SECURE_HEADERS);
    }
    const error = new ServiceError("log_unavailable", now.problem);
    const problem = quietProblemResponse(error, c.req.raw); // readiness tells when it turns
    const body = (await problem.json()) as object;
    const { status, headers } = problem;
    const unready = JSON.stringify({ ...body, ready: false, ...told(now, options) });
    return new Response(unready, { status, headers });
  });
  return readiness;
}

function told(now: ReadinessNow, { processorNames }: HealthOptions) {
  const { problem, isWritable, viewsNotFollowed, groups } = now;
  return {
    log: { writable: isWritable, problem },
    views_not_followed: viewsNotFollowed.map(({ group, partition, reason, forMs }) => ({
      ...{ group, partition, reason },
      for_ms: Math.round(forMs),
    })),
    groups_without_owner: groups
      .filter(({ partitionsWithoutOwner }) => partitionsWithoutOwner.length > 0)
      .map(({ group }) => group),
    groups_standing_still: groups
      .filter(({ partitionsStandingStill }) => partitionsStandingStill.length > 0)
      .map(({ group }) => group),
    groups: groups.map((standing) => ({
      group: standing.group,
      processor: processorNames[standing.group] ?? standing.group,
      lag: Number(standing.lag),
      partitions_without_owner: standing.partitionsWithoutOwner,
      partitions_standing_still: standing.partitionsStandingStill,
    })),
  };
}
