/** A process that takes a place, keeps an id there, says where it is, and stays until killed. */

import { takePlace } from "../../../src/log/kafka/place.ts";

const [folder = "", id = ""] = process.argv.slice(2);
const place = takePlace({ folder, clusterId: "cluster", prefix: "", purpose: "test" });
place.remember("words", id);
process.stdout.write(`${place.folder}\n`);
setInterval(() => place.folder, 60_000);
