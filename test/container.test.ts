import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DCLinter } from "dclint";
import { validate } from "dockerfile-utils";
import { PROJECT_ROOT } from "./house/source-files.ts";

/** An install from the cache and a build: seconds, on a slow machine under load. */
const BUILD_DEADLINE_MS = 120_000;

/** What of a compose file is looked at here; its schema is the linter's to check. */
interface Compose {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

interface ComposeService {
  readonly image?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly command?: readonly string[];
  readonly deploy?: { readonly replicas?: number };
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
}

const composePath = join(PROJECT_ROOT, "compose.yaml");
const compose = Bun.YAML.parse(readFileSync(composePath, "utf8")) as Compose;
const brokers = Object.entries(compose.services).filter(([name]) => name.startsWith("kafka-"));
const dockerfile = readFileSync(join(PROJECT_ROOT, "Dockerfile"), "utf8");
const { packageManager, scripts, version } = JSON.parse(
  readFileSync(join(PROJECT_ROOT, "package.json"), "utf8"),
) as { packageManager: string; scripts: Record<string, string>; version: string };

describe("compose.yaml", () => {
  test("keeps compose's own schema, and the linter's rules", async () => {
    expect(composeFaults(composePath)).toEqual([]);
    const folder = await mkdtemp(join(tmpdir(), "depositaja-compose-"));
    try {
      const broken = join(folder, "compose.yaml");
      const text = readFileSync(composePath, "utf8");
      await Bun.write(broken, text.replace("replicas: 2", "copies: 2"));
      expect(composeFaults(broken)).toEqual([expect.stringContaining("invalid-schema")]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("has three brokers of the version that the tests run, voters with their own data", () => {
    const pom = readFileSync(join(PROJECT_ROOT, "test/kafka/pom.xml"), "utf8");
    const tested = /<artifactId>kafka_[\d.]+<\/artifactId>\s*<version>([\d.]+)</.exec(pom)?.[1];
    expect(brokers.map(([, { image }]) => image)).toEqual(Array(3).fill(`apache/kafka:${tested}`));
    const ids = brokers.map(([, { environment }]) => environment?.["KAFKA_NODE_ID"]);
    expect(ids).toEqual(["1", "2", "3"]);
    const voters = brokers.map(([name], index) => `${index + 1}@${name}:9093`).join(",");
    for (const [name, { environment = {}, volumes }] of brokers) {
      expect(environment["KAFKA_CONTROLLER_QUORUM_VOTERS"]).toBe(voters);
      expect(environment["KAFKA_ADVERTISED_LISTENERS"]).toBe(`PLAINTEXT://${name}:9092`);
      expect(volumes).toEqual([`${name}:${environment["KAFKA_LOG_DIRS"]}`]);
      expect(compose.volumes).toHaveProperty(name);
    }
  });

  test("keeps three replicas of everything, of which two acknowledge", () => {
    for (const [, { environment = {} }] of brokers) {
      const factors = Object.entries(environment).filter(([key]) => key.endsWith("_FACTOR"));
      expect(factors.map(([, value]) => value)).toEqual(["3", "3", "3"]);
      expect(environment["KAFKA_TRANSACTION_STATE_LOG_MIN_ISR"]).toBe("2");
      expect(environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"]).toBe("false");
    }
  });

  test("runs the service and two processors on those brokers", () => {
    const { serve, process: processing } = compose.services;
    const list = brokers.map(([name]) => `${name}:9092`).join(",");
    expect(serve?.environment).toEqual({ DEPOSITAJA_BROKERS: list });
    expect(processing?.environment).toEqual({ DEPOSITAJA_BROKERS: list });
    expect(serve?.command?.[0]).toBe("serve");
    expect(processing?.command).toEqual(["process", "--all"]);
    expect(processing?.deploy?.replicas).toBe(2);
  });

  test("opens nothing to other machines", () => {
    const ports = Object.values(compose.services).flatMap((service) => service.ports ?? []);
    expect(ports).toEqual(["127.0.0.1:8080:8080"]);
  });

  test("asks for keys and HTTPS where deploy/compose.keys.yaml opens it to other machines", () => {
    const path = join(PROJECT_ROOT, "deploy/compose.keys.yaml");
    expect(composeFaults(path)).toEqual([]);
    const { services } = Bun.YAML.parse(readFileSync(path, "utf8")) as Compose;
    const { command, environment = {}, volumes } = services["serve"] ?? {};
    expect(command).toEqual(["serve", "--host", "0.0.0.0"]);
    const files = ["KEYS_FILE", "HTTPS_CERT", "HTTPS_KEY"].map((name) => `DEPOSITAJA_${name}`);
    expect(Object.keys(environment)).toEqual(["DEPOSITAJA_ALLOW_HOST", ...files]);
    // The folder: a file that is mounted by itself would never change inside.
    expect(volumes).toEqual(["./access:/etc/depositaja:ro"]);
    for (const file of files) expect(environment[file]).toStartWith("/etc/depositaja/");
    expect(compose.services["serve"]?.command).toContain("--insecure");
    expect(dockerfile).not.toMatch(/^(CMD|ENV|ENTRYPOINT) .*insecure/im);
  });

  test("calls the service well when /readyz answers 200, and only then", async () => {
    const [how, ...command] = compose.services["serve"]?.healthcheck?.test ?? [];
    expect(how).toBe("CMD");
    let status = 200;
    const paths: string[] = [];
    using server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: ({ url, headers }) => {
        paths.push(`${headers.get("host")}${new URL(url).pathname}`);
        return new Response("{}", { status });
      },
    });
    const { port } = server;
    // Compose writes $ as $$, and the container has a port 8080 of its own.
    const own = command.map((part) => part.replaceAll("$$", "$").replace("/8080", `/${port}`));
    const check = () => Bun.spawn(own, { stdio: ["ignore", "ignore", "ignore"] }).exited;
    expect(await check()).toBe(0);
    expect(paths).toEqual(["localhost/readyz"]);
    status = 503;
    expect(await check()).not.toBe(0);
    await server.stop(true);
    expect(await check()).not.toBe(0);
  });
});

describe("the Dockerfile", () => {
  const lines = dockerfile.replaceAll(/\\\n\s*/g, " ").split("\n");
  const instructions = lines.flatMap((line) => {
    const [, name = "", rest = ""] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    return name === "" ? [] : [{ name, rest }];
  });
  const said = (name: string) =>
    instructions.filter((each) => each.name === name).map(({ rest }) => rest);
  const copied = said("COPY")
    .filter((rest) => !rest.startsWith("--from"))
    .flatMap((rest) => rest.split(" ").slice(0, -1));
  const outfile = /--outfile (\S+)/.exec(scripts["build"] ?? "")?.[1] ?? "";

  test("has no fault that the linter knows", () => {
    expect(validate(dockerfile).map(({ message }) => message)).toEqual([]);
  });

  test("copies what is there, and the build sees nothing else of the folder", () => {
    expect(copied.filter((path) => !existsSync(join(PROJECT_ROOT, path)))).toEqual([]);
    const ignore = readFileSync(join(PROJECT_ROOT, ".dockerignore"), "utf8").trim().split("\n");
    const [nothing, ...seen] = ignore.filter((line) => !line.startsWith("#"));
    expect(nothing).toBe("*");
    expect(seen.sort()).toEqual(copied.map((path) => `!${path}`).sort());
  });

  test("builds with the project's Bun and takes what the build writes", () => {
    expect(said("FROM")[0]).toBe(`oven/${packageManager.replace("@", ":")} AS build`);
    const taken = said("COPY").find((rest) => rest.startsWith("--from=build"));
    expect(taken).toBe(`--from=build /build/${outfile} /usr/local/bin/depositaja`);
    expect(said("ENTRYPOINT")).toEqual(['["depositaja"]']);
  });

  test("runs as nobody special, with its data in a volume", () => {
    const user = said("USER").at(-1);
    expect(said("RUN").join()).toContain(`useradd --system --uid 10001`);
    expect(user).toBe("depositaja");
    const folder = "/var/lib/depositaja";
    expect(said("VOLUME")).toEqual([`["${folder}"]`]);
    expect(said("ENV")).toEqual([`DEPOSITAJA_DATA=${folder}`]);
    const { serve, process: processing } = compose.services;
    expect(serve?.volumes).toEqual([`serve:${folder}`]);
    expect(processing?.volumes).toEqual([`process:${folder}`]);
  });

  test(
    "builds an executable that runs from what it copies alone",
    async () => {
      const folder = await mkdtemp(join(tmpdir(), "depositaja-image-"));
      try {
        for (const path of copied) {
          await cp(join(PROJECT_ROOT, path), join(folder, path), { recursive: true });
        }
        const builds = said("RUN").filter((rest) => rest.startsWith("["));
        for (const build of builds) {
          const [program, ...rest] = JSON.parse(build) as string[];
          expect(program).toBe("bun");
          expect(await run([process.execPath, ...rest], folder)).toMatchObject({ exitCode: 0 });
        }
        const ran = await run([join(folder, outfile), "--version"], folder);
        expect(ran).toEqual({ exitCode: 0, printed: `${version}\n` });
      } finally {
        await rm(folder, { recursive: true });
      }
    },
    BUILD_DEADLINE_MS,
  );
});

/** With compose's JSON schema, which the linter carries. */
function composeFaults(path: string): string[] {
  const linter = new DCLinter({
    rules: {
      // The file stands in the order in which it is read.
      "service-keys-order": 0,
      "services-alphabetical-order": 0,
      "top-level-properties-order": 0,
      // What is built here gets a name, so that both services run one image.
      "no-build-and-image": 0,
    },
    quiet: false,
    debug: false,
    exclude: [],
  });
  return linter
    .lintFiles([path], false)
    .flatMap(({ messages }) => messages)
    .map(({ line, rule, message }) => `${line}: ${rule}: ${message}`);
}

async function run(command: readonly string[], cwd: string) {
  const child = Bun.spawn([...command], { cwd, stdio: ["ignore", "pipe", "pipe"] });
  const [exitCode, output, complaints] = await Promise.all([
    child.exited,
    child.stdout.text(),
    child.stderr.text(),
  ]);
  return { exitCode, printed: `${output}${complaints}` };
}
