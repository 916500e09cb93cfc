/**
 * Requests as they were answered, in plain numbers: by route, method and status, with durations.
 *
 *   request ──URL──> route's counts ──answer──> one more, and how long it took
 *
 * Routes are those of the router's tables, so that what a client sends names nothing: all other
 * paths are one. A request costs a look into a table, an increment, and where it is timed two
 * readings of the clock; these cost more than the rest, so of a busy route only some are timed.
 */

import type { Hono } from "hono";

/** Seconds; a deposit is durable within a few milliseconds, a wait ends after five seconds. */
export const DURATION_BOUNDS_S = [
  ...[0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5],
  ...[1, 2.5, 5, 10],
] as const;

/** Of the busy routes one in so many is timed: enough to know the slowest of a hundred soon. */
export const TIMED_OF_CHECKS = 16;
export const TIMED_OF_DEPOSITS = 4;

const CHECK = "/check/";
const DEPOSIT = "/deposit";

/** What is no route. */
export const OTHER_ROUTE = "other";

const METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "OPTIONS"]);

export interface Answered {
  readonly method: string;
  readonly status: number;
  count: number;
}

export interface Durations {
  readonly method: string;
  sumS: number;
  /** By DURATION_BOUNDS_S, each without those below it; the last: longer. */
  readonly buckets: number[];
}

export class RouteCounts {
  readonly answers: Answered[] = [];
  readonly durations: Durations[] = [];
  private asked = 0;
  /** What most answers are like. */
  private last: Answered | null = null;

  constructor(
    readonly route: string,
    private readonly timedOf: number,
  ) {}

  /** Whether this request is one to be timed. */
  isTimed(): boolean {
    this.asked += 1;
    return this.timedOf === 1 || this.asked % this.timedOf === 1;
  }

  answered(asked: string, status: number): void {
    const { last } = this;
    if (last !== null && last.status === status && last.method === asked) last.count += 1;
    else {
      this.last = this.answersOf(methodOf(asked), status);
      this.last.count += 1;
    }
  }

  took(asked: string, seconds: number): void {
    const durations = this.durationsOf(methodOf(asked));
    let bucket = 0;
    while (bucket < DURATION_BOUNDS_S.length && seconds > (DURATION_BOUNDS_S[bucket] as number)) {
      bucket += 1;
    }
    durations.buckets[bucket] = (durations.buckets[bucket] as number) + 1;
    durations.sumS += seconds;
  }

  private answersOf(method: string, status: number): Answered {
    for (const each of this.answers) {
      if (each.status === status && each.method === method) return each;
    }
    const answered = { method, status, count: 0 };
    this.answers.push(answered);
    return answered;
  }

  private durationsOf(method: string): Durations {
    for (const each of this.durations) if (each.method === method) return each;
    const durations = { method, sumS: 0, buckets: [...DURATION_BOUNDS_S, 0].map(() => 0) };
    this.durations.push(durations);
    return durations;
  }
}

function methodOf(method: string): string {
  return METHODS.has(method) ? method : OTHER_ROUTE;
}

export class RequestCounts {
  private readonly whole = new Map<string, RouteCounts>();
  /** Routes that end in a name, by what stands before it. */
  private readonly begun: (readonly [prefix: string, counts: RouteCounts])[] = [];
  /** Routes with a name in front, by what stands behind it. */
  private readonly ended: (readonly [suffix: string, counts: RouteCounts])[] = [];
  private readonly other = new RouteCounts(OTHER_ROUTE, 1);
  /** Nearly all deposits of a server are sent to one URL. */
  private lastUrl = "";
  private lastCounts = this.other;
  /** The route whose answers are fastest: looked for first. */
  private readonly checks = new RouteCounts(`${CHECK}{wallet_id}`, TIMED_OF_CHECKS);

  constructor(tables: readonly Pick<Hono, "routes">[]) {
    const known = new Map([[this.checks.route, this.checks]]);
    for (const { path } of tables.flatMap(({ routes }) => routes)) {
      const route = path.replaceAll(/:(\w+)/g, "{$1}");
      if (route.includes("*") || known.has(route)) continue;
      const counts = new RouteCounts(route, route === DEPOSIT ? TIMED_OF_DEPOSITS : 1);
      known.set(route, counts);
      const [before = "", after = ""] = path.split(/:\w+/);
      if (before === path) this.whole.set(path, counts);
      else if (after === "") this.begun.push([before, counts]);
      else this.ended.push([after, counts]);
    }
  }

  /** By its URL. What has a route's beginning counts as its, though the router may refuse it. */
  of(url: string): RouteCounts {
    if (url === this.lastUrl) return this.lastCounts;
    const start = url.indexOf("/", "https://".length);
    if (url.startsWith(CHECK, start)) return this.checks;
    const query = url.indexOf("?", start);
    const path = start === -1 ? "/" : url.slice(start, query === -1 ? undefined : query);
    const whole = this.whole.get(path);
    if (whole !== undefined) {
      this.lastUrl = url;
      this.lastCounts = whole;
      return whole;
    }
    return (
      this.begun.find(([prefix]) => path.startsWith(prefix))?.[1] ??
      this.ended.find(([suffix]) => path.endsWith(suffix))?.[1] ??
      this.other
    );
  }

  /** All that were asked for. */
  routes(): readonly RouteCounts[] {
    const named = [...this.begun, ...this.ended].map(([, counts]) => counts);
    const all = [...this.whole.values(), this.checks, ...named, this.other];
    return all.filter(({ answers }) => answers.length > 0);
  }
}

type Fetch = (request: Request) => Response | Promise<Response>;

/** The same answers, counted. */
export function counting(requests: RequestCounts, fetch: Fetch): Fetch {
  return (request) => {
    const route = requests.of(request.url);
    const startMs = route.isTimed() ? performance.now() : null;
    const answer = fetch(request);
    if (answer instanceof Promise) return answer.then(counted(route, request, startMs));
    count(answer, route, request, startMs);
    return answer;
  };
}

/** Apart, for an answer at once needs no function of its own. */
function counted(route: RouteCounts, request: Request, startMs: number | null) {
  return (response: Response) => {
    count(response, route, request, startMs);
    return response;
  };
}

function count(
  { status }: Response,
  route: RouteCounts,
  { method }: Request,
  startMs: number | null,
): void {
  route.answered(method, status);
  if (startMs !== null) route.took(method, (performance.now() - startMs) / 1_000);
}
