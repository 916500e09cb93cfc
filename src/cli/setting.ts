/** What one setting is: its names, what its text means, and what it is when nobody says it. */

import { resolve } from "node:path";

export interface Setting<T> {
  /** Null: it has none, and is said otherwise. */
  readonly flag: string | null;
  readonly variable: string;
  /** Another name for it in a settings file. */
  readonly fileKey?: string;
  /** Null when the text is no such value. */
  readonly parse: (text: string, folder: string) => T | null;
  readonly wanted: string;
  readonly fallback: T;
  /** What null stands for, where nobody says it and it is not simply none. */
  readonly unsaid?: string;
  /** Never shown, whatever is wrong with it. */
  readonly isSecret?: true;
}

export type SettingTable<Values> = { readonly [Name in keyof Values]: Setting<Values[Name]> };

/** The path of a file; none unless said. */
export function pathSetting(flag: string, variable: string): Setting<string | null> {
  return {
    flag,
    variable,
    parse: (text, folder) => (text === "" ? null : resolve(folder, text)),
    wanted: "the path of a file",
    fallback: null,
  };
}

/** Off unless said. */
export function switchSetting(flag: string, variable: string): Setting<boolean> {
  return {
    flag,
    variable,
    parse: (text) => ({ true: true, "1": true, false: false, "0": false })[text] ?? null,
    wanted: "true or false",
    fallback: false,
  };
}
