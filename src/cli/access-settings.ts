/**
 * Who may use the service and what it tells: the settings of `up` and `serve` beside its address.
 *
 *   --keys, --https-cert, --insecure, ... ──> values, as they are said
 *
 * What they come to together stands in serving.ts. `--tls-cert` and `--tls-key` are a client's of a
 * Kafka cluster, so the service's own have other names.
 */

import { pathSetting, type SettingTable, switchSetting } from "./setting.ts";

export interface AccessValues {
  /** The key file, absolute. */
  readonly keys: string | null;
  /** Keys themselves, as the file has them. */
  readonly keyEntries: string | null;
  /** PEM files, absolute. */
  readonly httpsCert: string | null;
  readonly httpsKey: string | null;
  readonly insecure: boolean;
  readonly corsOrigins: readonly string[];
  readonly hideFlags: boolean;
  /** Requests a second for one key; null: no limit. */
  readonly rateLimit: number | null;
}

/** More than a machine answers. */
const MAX_RATE_LIMIT = 1_000_000;
const ORIGIN = /^https?:\/\/(\[[0-9a-f:.]+\]|[a-z0-9_-]+(\.[a-z0-9_-]+)*)(:\d{1,5})?$/;

export const ACCESS_SETTINGS: SettingTable<AccessValues> = {
  keys: pathSetting("--keys", "DEPOSITAJA_KEYS_FILE"),
  keyEntries: {
    flag: null,
    variable: "DEPOSITAJA_KEYS",
    parse: (text) => text || null,
    wanted: "keys as `keys create` prints them for the environment, with commas between them",
    fallback: null,
    isSecret: true,
  },
  httpsCert: pathSetting("--https-cert", "DEPOSITAJA_HTTPS_CERT"),
  httpsKey: pathSetting("--https-key", "DEPOSITAJA_HTTPS_KEY"),
  insecure: switchSetting("--insecure", "DEPOSITAJA_INSECURE"),
  corsOrigins: {
    flag: "--cors-origin",
    variable: "DEPOSITAJA_CORS_ORIGIN",
    parse: (text) => {
      const origins = text.split(",").map((origin) => origin.trim().toLowerCase());
      return origins.every((origin) => ORIGIN.test(origin)) ? origins : null;
    },
    wanted: "origins such as https://shop.example.org, without a path; there is none for any",
    fallback: [],
  },
  hideFlags: switchSetting("--hide-flags", "DEPOSITAJA_HIDE_FLAGS"),
  rateLimit: {
    flag: "--rate-limit",
    variable: "DEPOSITAJA_RATE_LIMIT",
    parse: (text) => {
      const value = /^\d{1,7}$/.test(text) ? Number(text) : 0;
      return value >= 1 && value <= MAX_RATE_LIMIT ? value : null;
    },
    wanted: `a number of requests a second from 1 to ${MAX_RATE_LIMIT}`,
    fallback: null,
    unsaid: "none",
  },
};
