/**
 * Pages of other origins that an operator lets in (--cors-origin): their browsers ask first, and
 * show them answers only when told so.
 *
 *   OPTIONS of a page ──> what it may send        its request ──> answer, with its origin named
 *
 * What is not let in never comes here: the guard refuses it. Whoever is asked for a key is asked on
 * a page, too: nothing here is sent by a browser on its own, as a cookie would be.
 */

import { Hono } from "hono";
import { cors } from "hono/cors";
import { REQUEST_ID } from "./request-id.ts";
import { secured } from "./secure-headers.ts";

type Answer = (request: Request) => Response | Promise<Response>;

/** What a page may send beside what every page may, and what of an answer it may read. */
const ALLOWED_HEADERS = ["authorization", "content-type", "idempotency-key", REQUEST_ID];
const EXPOSED_HEADERS = ["retry-after", REQUEST_ID];
/** A browser asks again after so long; Chromium's own longest is two hours. */
const MAX_AGE_S = 600;

/** A request that no page makes is answered as it is. */
export function withCors(origins: readonly string[], answer: Answer): Answer {
  const pages = new Hono();
  pages.use(
    cors({
      origin: [...origins],
      allowMethods: ["GET", "HEAD", "POST"],
      allowHeaders: ALLOWED_HEADERS,
      exposeHeaders: EXPOSED_HEADERS,
      maxAge: MAX_AGE_S,
    }),
  );
  pages.all("*", (c) => answer(c.req.raw));
  const isPage = (origin: string | null) => origin !== null && origins.includes(origin);
  // What a browser asks first is answered before any route.
  const answerPage = async (request: Request) => secured(await pages.fetch(request));
  return (request) =>
    isPage(request.headers.get("origin")) ? answerPage(request) : answer(request);
}
