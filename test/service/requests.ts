/** Requests to a service, as a client of this machine makes them. */

import type { Service } from "../../src/service/listening.ts";

export interface Ask {
  readonly headers?: Record<string, string>;
  readonly body?: string | Uint8Array;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly json: unknown;
}

/** `line` is a method and a path: "GET /check/alice". */
export async function ask(service: Service, line: string, options: Ask = {}): Promise<Answer> {
  const [method, path] = line.split(" ", 2) as [string, string];
  const request = new Request(`http://localhost:8080${path}`, {
    method,
    headers: { host: "localhost:8080", ...options.headers },
    ...(options.body === undefined ? {} : { body: options.body }),
  });
  const response = await service.fetch(request);
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: text === "" ? null : JSON.parse(text),
  };
}

export function depositBody(walletId: string, amount: string): Ask {
  return { body: `{"wallet_id":${JSON.stringify(walletId)},"amount":${amount}}` };
}
