/** Where a processor's health and metrics are served: `8081`, or `10.0.0.7:8081`. */

const PLACE = /^(?:(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):)?(\d{1,5})$/;
const MAX_PORT = 65_535;
/** For this machine alone, unless another address is named. */
const LOOPBACK = "127.0.0.1";

/** In full, as `config` shows it; null for what is no such place. */
export function parseHealthPlace(text: string): string | null {
  const [, host = LOOPBACK, port] = PLACE.exec(text) ?? [];
  return port === undefined || Number(port) > MAX_PORT ? null : `${host}:${Number(port)}`;
}

export function healthPlace(place: string): { readonly host: string; readonly port: number } {
  const end = place.lastIndexOf(":");
  const host = place.slice(0, end).replaceAll(/[[\]]/g, "");
  return { host, port: Number(place.slice(end + 1)) };
}
