/** The flags by which every command reaches a Kafka cluster, under a heading of their own. */

import { Option } from "commander";
import { UsageError } from "./usage-error.ts";

const HEADING = "On an Apache Kafka cluster:";
const NO_PASSWORD =
  "a password is no flag, for every user of the machine sees command lines: set " +
  "DEPOSITAJA_SASL_PASSWORD in the environment or in the settings file, or name a file that " +
  "holds it with --sasl-password-file";

export function kafkaOptions(): Option[] {
  return [
    new Option("--brokers <list>", "host:port,... of the cluster; the log is there, not in --data"),
    new Option("--prefix <text>", "before the names of topics, groups and ids in the cluster"),
    new Option("--tls", "TLS, trusting the system's authorities"),
    new Option("--tls-ca <file>", "PEM certificates of the authorities to trust instead"),
    new Option("--tls-cert <file>", "PEM certificate of this client"),
    new Option("--tls-key <file>", "its private key"),
    new Option("--sasl <mechanism>", "plain, scram-sha-256 or scram-sha-512"),
    new Option("--sasl-username <name>", "who logs in"),
    new Option(
      "--sasl-password-file <file>",
      "file with the password, or set DEPOSITAJA_SASL_PASSWORD; no flag takes it, for every " +
        "user of the machine sees command lines",
    ),
    // What looks like a flag is typed: commander would print it, password and all.
    new Option("--sasl-password <password>").hideHelp().argParser(() => {
      throw new UsageError(NO_PASSWORD);
    }),
  ].map((option) => option.helpGroup(HEADING));
}
