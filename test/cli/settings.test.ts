import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { effectiveSettings, readSettings, type SettingsSources } from "../../src/cli/settings.ts";
import { temporaryFolder } from "../end-to-end/program.ts";

const NAMES = ["data", "host", "port", "allowHosts", "partitions", "decimals"] as const;

function read(sources: Partial<SettingsSources> & { readonly files?: Record<string, string> }) {
  using folder = temporaryFolder();
  for (const [name, text] of Object.entries(sources.files ?? {})) {
    writeFileSync(join(folder.path, name), text);
  }
  const all = { flags: {}, environment: {}, folder: folder.path, ...sources };
  const { settings, notes } = readSettings(NAMES, all);
  const shorten = (text: string) => text.replaceAll(folder.path, "FOLDER");
  return { ...settings, data: shorten(settings.data), notes: notes.map(shorten) };
}

describe("settings", () => {
  test("have defaults", () => {
    expect(read({})).toMatchObject({
      data: "FOLDER/depositaja-data",
      host: "127.0.0.1",
      port: 8080,
      allowHosts: [],
      partitions: null,
      decimals: null,
      notes: [],
    });
  });

  test("come from a flag, else the environment, else the file, else the default", () => {
    const files = { "config.env": "PORT=1\n", "other.env": "DEPOSITAJA_PORT=2\n" };
    const environment = { DEPOSITAJA_PORT: "3" };
    expect(read({ files }).port).toBe(1);
    expect(read({ files, flags: { config: "other.env" } }).port).toBe(2);
    expect(read({ files, environment }).port).toBe(3);
    expect(read({ files, environment, flags: { port: "4" } }).port).toBe(4);
    expect(read({ files, environment: { DEPOSITAJA_PORT: "" } }).port).toBe(1);
  });

  test("of the environment begin with DEPOSITAJA_: PORT alone is another program's", () => {
    expect(read({ environment: { PORT: "3", BROKER: "kafka:9092" } }).port).toBe(8080);
  });

  test("say which file was read, and what it said", () => {
    const files = { "config.env": "# ours\nPORT = 9000\nexport DEPOSITAJA_DATA='a b' # there\n" };
    expect(read({ files })).toMatchObject({
      port: 9000,
      data: "FOLDER/a b",
      notes: ["settings from FOLDER/config.env: PORT=9000 DEPOSITAJA_DATA=a b"],
    });
  });

  test("of a repeated flag, or with commas between them, are a list", () => {
    expect(read({ flags: { allowHosts: ["a", "b"] } }).allowHosts).toEqual(["a", "b"]);
    const environment = { DEPOSITAJA_ALLOW_HOST: "a, b:8080,[::1]" };
    expect(read({ environment }).allowHosts).toEqual(["a", "b:8080", "[::1]"]);
  });

  const wrong: [string, Parameters<typeof read>[0], string][] = [
    ["a port", { flags: { port: "80a" } }, '--port is "80a": it must be a number from 0'],
    ["a variable", { environment: { DEPOSITAJA_PORT: "tcp://1" } }, "DEPOSITAJA_PORT is"],
    ["a port of the file", { files: { "config.env": "PORT=x" } }, 'PORT in config.env is "x"'],
    ["partitions", { flags: { partitions: "0" } }, "it must be a number from 1 to 1024"],
    ["decimals", { flags: { decimals: "19" } }, "it must be a number from 0 to 18"],
    ["a host", { flags: { host: "http://a" } }, "it must be a host name or an address"],
    ["a folder", { flags: { data: "" } }, "it must be the path of a folder"],
    ["a file", { flags: { config: "no.env" } }, "no.env cannot be read"],
    ["a key", { files: { "config.env": "PROT=1" } }, "PROT is no setting; did you mean PORT?"],
    ["another key", { files: { "config.env": "HOME=/a" } }, "HOME is no setting"],
    ["a line", { files: { "config.env": "\nPORT 1" } }, 'line 2: write KEY=VALUE, not "PORT 1"'],
    ["quotes", { files: { "config.env": 'PORT="1' } }, "the quotes around"],
    ["a key twice", { files: { "config.env": "PORT=1\nPORT=2" } }, "line 2: PORT is set a second"],
    [
      "a key by both names",
      { files: { "config.env": "PORT=1\nDEPOSITAJA_PORT=1" } },
      "PORT and DEPOSITAJA_PORT are one setting",
    ],
    [
      "brokers by both names",
      { files: { "config.env": "BROKER=a:1\nDEPOSITAJA_BROKERS=a:1" } },
      "BROKER and DEPOSITAJA_BROKERS are one setting",
    ],
  ];
  for (const [what, sources, message] of wrong) {
    test(`refuse ${what} that is wrong, and name it`, () => {
      expect(() => read(sources)).toThrow(message);
    });
  }

  test.each([
    ["PROT", "PORT"],
    ["port", "PORT"],
    ["HOST", "DEPOSITAJA_HOST"],
    ["DEPOSTAJA_PORT", "DEPOSITAJA_PORT"],
    ["DEPOSITAJA_LOGLEVEL", "DEPOSITAJA_LOG_LEVEL"],
    ["BROKERS", "DEPOSITAJA_BROKERS"],
  ])("take %s of the file for a misspelt %s", (key, meant) => {
    const files = { "config.env": `${key}=1` };
    expect(() => read({ files })).toThrow(`${key} is no setting; did you mean ${meant}?`);
  });

  test.each(["FOO", "HOME", "A", "PATH", "POST_IT", "DEPOSITAJA_FOO", "DEPOSITAJA_"])(
    "do not guess what %s was meant to be, but list the names",
    (key) => {
      const files = { "config.env": `${key}=1` };
      const known = `${key} is no setting; known are DEPOSITAJA_DATA, DEPOSITAJA_HOST, `;
      expect(() => read({ files })).toThrow(known);
    },
  );

  test("refuse a variable of the environment that is none, and name the nearest", () => {
    expect(() => read({ environment: { DEPOSITAJA_PROT: "1" } })).toThrow(
      "the variable DEPOSITAJA_PROT is no setting; did you mean DEPOSITAJA_PORT?",
    );
    expect(() => read({ environment: { DEPOSITAJA_FOO: "" } })).toThrow("known are DEPOSITAJA_D");
  });

  test.each([
    ["DEPOSITAJA_SERVICE_HOST", "10.0.0.1"],
    ["DEPOSITAJA_SERVICE_PORT_HTTP", "80"],
    ["DEPOSITAJA_PORT_8080_TCP_ADDR", "10.0.0.1"],
    ["DEPOSITAJA_WEB_PORT", "tcp://10.0.0.1:80"],
  ])("do not stop at %s, by which a cluster tells of a service", (name, value) => {
    expect(read({ environment: { [name]: value } }).notes).toEqual([
      `the variable ${name} is no setting and is not used`,
    ]);
  });

  test("that a command does not take may be wrong", () => {
    const environment = { DEPOSITAJA_PORT: "tcp://10.0.0.1:8080" };
    expect(readSettings(["data"], { flags: {}, environment, folder: "/" }).settings.data).toBe(
      "/depositaja-data",
    );
  });
});

describe("the effective settings", () => {
  const effective = (sources: Partial<SettingsSources>, config = "") => {
    using folder = temporaryFolder();
    writeFileSync(join(folder.path, "config.env"), config);
    const all = effectiveSettings({ flags: {}, environment: {}, folder: folder.path, ...sources });
    return new Map(all.map(({ variable, ...rest }) => [variable, rest]));
  };

  test("say of each where it came from", () => {
    const environment = { DEPOSITAJA_PORT: "2", DEPOSITAJA_HEALTH: "3" };
    const all = effective({ environment, flags: { health: "4" } }, "PORT=1\nBROKER=a\n");
    expect(all.get("DEPOSITAJA_HEALTH")).toMatchObject({
      ...{ value: "127.0.0.1:4", source: "--health" },
    });
    expect(all.get("DEPOSITAJA_PORT")).toMatchObject({ value: 2, origin: "environment" });
    const brokers = { value: ["a:9092"], origin: "file", source: "BROKER in config.env" };
    expect(all.get("DEPOSITAJA_BROKERS")).toMatchObject(brokers);
    const host = { value: "127.0.0.1", origin: "default", source: null };
    expect(all.get("DEPOSITAJA_HOST")).toMatchObject(host);
  });

  test("hold no secret", () => {
    const all = effective(
      { environment: { DEPOSITAJA_SASL_PASSWORD: "open sesame" } },
      "BROKER=a\nDEPOSITAJA_SASL=plain\nDEPOSITAJA_SASL_USERNAME=ann\n",
    );
    expect(all.get("DEPOSITAJA_SASL_PASSWORD")).toMatchObject({ value: "***" });
    expect(JSON.stringify([...all])).not.toContain("sesame");
    expect(effective({}).get("DEPOSITAJA_SASL_PASSWORD")).toMatchObject({ value: null });
  });

  test("are refused where they do not go together", () => {
    expect(() => effective({ environment: { DEPOSITAJA_TLS: "true" } })).toThrow(
      "DEPOSITAJA_TLS is for a Kafka cluster",
    );
  });
});
