/**
 * `config`: the settings as a command would take them, and where each came from.
 *
 *   flags, environment, settings file ──> effective settings ──> one line each, secrets masked
 */

import { newCommand, sourcesOf } from "./command.ts";
import { print, printJson } from "./output.ts";
import { type EffectiveSetting, effectiveSettings, SETTING_NAMES } from "./settings.ts";
import { table } from "./table.ts";

const OPTIONS = {
  name: "config",
  description: "Show each setting as it holds, and where it came from.",
  settings: SETTING_NAMES,
  examples: ["config", "config --config production.env", "config --json"],
  remarks:
    "It takes the flags that other commands take, to try what they come to. A setting that is\n" +
    "wrong is an error, as it is of a command that needs it. --json prints one object a setting.",
} as const;

export function configCommand() {
  return newCommand(OPTIONS)
    .option("--json", "print JSON")
    .action((flags: { readonly json?: true }) => {
      const all = effectiveSettings(sourcesOf(flags));
      if (flags.json) return all.forEach((setting) => printJson(settingJson(setting)));
      const rows = all.map((setting) => [
        setting.variable,
        valueText(setting),
        setting.source ?? "default",
      ]);
      print(table(["setting", "value", "from"], rows).join("\n"));
    });
}

function settingJson({ variable, value, origin, source }: EffectiveSetting): object {
  return { setting: variable, value, from: origin, source };
}

function valueText({ value, unsaid }: EffectiveSetting): string {
  if (Array.isArray(value)) return value.length === 0 ? "-" : value.join(",");
  return value === null || value === "" ? (unsaid ?? "-") : `${value as string | number | boolean}`;
}
