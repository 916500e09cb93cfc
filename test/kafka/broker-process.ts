/**
 * One broker's JVM: started, killed, stopped, resumed. It ends with whoever started it.
 *
 *   this process ──pipe──> sh ──> java, its output to a file
 *
 * The shell in between waits for its standard input to end, which it does however this process
 * ends, and then kills the JVM, even one that was stopped by SIGSTOP.
 */

import { closeSync, openSync, readFileSync } from "node:fs";

/** A cold start takes 3 s alone; other work on the machine makes it slow, a fault does not end. */
const START_MS = 60_000;
/** A clean stop moves leaders away and flushes; then it is killed. */
const STOP_MS = 20_000;
const POLL_MS = 20;
const READY = "Kafka Server started";
const TAIL_LINES = 40;

/**
 * Prints the JVM's pid, then waits for the end of either. SIGINT of a terminal goes to a whole
 * group: the shell must outlive it, and sh keeps it from what runs in the background.
 */
const GUARD = `
  trap : INT TERM HUP
  exec 3>&1 >"$LOG_FILE" 2>&1 4<&0
  "$@" 3>&- 4<&- </dev/null &
  broker=$!
  echo $broker >&3
  exec 3>&-
  (
    read -r _ <&4
    trap '' TERM
    kill -9 $broker
    while kill -0 $broker 2>/dev/null; do sleep 0.1; done
    [ -z "$LEFTOVER_FOLDER" ] || rm -rf "$LEFTOVER_FOLDER"
  ) &
  watch=$!
  exec 4<&-
  while kill -0 $broker 2>/dev/null; do wait $broker; done
  kill $watch
`;

export interface BrokerCommand {
  /** `java` with its options, such as -Xmx, and the class path. */
  readonly java: readonly string[];
  readonly propertiesPath: string;
  /** Overwritten by each start. */
  readonly logPath: string;
  /** What is to go with this process when it ends without closing. Null: nothing. */
  readonly leftoverFolder: string | null;
}

export class BrokerProcess {
  private constructor(
    private readonly command: BrokerCommand,
    private readonly guard: Bun.Subprocess<"pipe", "pipe", "ignore">,
    readonly pid: number,
  ) {}

  /** Resolves once the JVM runs; it serves after `ready`. */
  static async start(command: BrokerCommand): Promise<BrokerProcess> {
    closeSync(openSync(command.logPath, "w"));
    const guard = Bun.spawn(
      ["sh", "-c", GUARD, "sh", ...command.java, "kafka.Kafka", command.propertiesPath],
      {
        stdin: "pipe",
        stdout: "pipe",
        stderr: "ignore",
        env: {
          ...process.env,
          LOG_FILE: command.logPath,
          LEFTOVER_FOLDER: command.leftoverFolder ?? "",
        },
      },
    );
    guard.unref(); // a program that has nothing else to do may end
    const pid = Number((await guard.stdout.text()).trim());
    return new BrokerProcess(command, guard, pid);
  }

  /** Resolves once the broker serves. Rejects with the end of its log when it does not. */
  async ready(): Promise<void> {
    const endMs = performance.now() + START_MS;
    while (!this.log().includes(READY)) {
      if (this.hasEnded()) throw new Error(`the broker ended\n${this.tail()}`);
      if (performance.now() > endMs) {
        throw new Error(`the broker does not serve after ${START_MS} ms\n${this.tail()}`);
      }
      await Bun.sleep(POLL_MS);
    }
  }

  hasEnded(): boolean {
    return this.guard.exitCode !== null || this.guard.signalCode !== null;
  }

  /** SIGSTOP: the connections stay, nothing is answered. */
  pause(): void {
    this.signal("SIGSTOP");
  }

  /** SIGCONT. */
  resume(): void {
    this.signal("SIGCONT");
  }

  /** kill -9. */
  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.guard.exited;
  }

  /** SIGTERM, and SIGKILL after a while. */
  async stop(): Promise<void> {
    this.signal("SIGTERM");
    const timer = setTimeout(() => this.signal("SIGKILL"), STOP_MS);
    await this.guard.exited;
    clearTimeout(timer);
  }

  /** The log's last lines. */
  tail(): string {
    return this.log().trimEnd().split("\n").slice(-TAIL_LINES).join("\n");
  }

  private log(): string {
    return readFileSync(this.command.logPath, "utf8");
  }

  /** The guard lives as long as the JVM, so the pid cannot be another's. */
  private signal(name: NodeJS.Signals): void {
    if (this.hasEnded()) return;
    try {
      process.kill(this.pid, name);
    } catch (error) {
      if ((error as { code?: string }).code !== "ESRCH") throw error; // it has just ended
    }
  }
}
