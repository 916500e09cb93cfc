/**
 * The bar of a terminal, which goes away when it is done.
 *
 *   format, values ──> stderr
 */

import { Presets, SingleBar } from "cli-progress";

export function newTerminalBar(format: string): SingleBar {
  const options = { format, stream: process.stderr, clearOnComplete: true, stopOnComplete: false };
  return new SingleBar(options, Presets.shades_classic);
}
