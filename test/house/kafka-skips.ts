/**
 * The cases on a real Kafka broker that a run left out without saying why: with a broker at hand
 * there is no reason but one that stands in the case's own title.
 *
 *   junit XML ──> skipped cases of Kafka's files ──less "(skipped, <reason>)"──> titles
 */

const TEST_CASE = /<testcase\b([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g;
const REASON = /\(skipped, \S/;

export function unexplainedKafkaSkips(xml: string): string[] {
  return [...xml.matchAll(TEST_CASE)].flatMap(([, attributes = "", body = ""]) => {
    const file = /\bfile="([^"]*)"/.exec(attributes)?.[1] ?? "";
    const title = /\bname="([^"]*)"/.exec(attributes)?.[1] ?? "";
    const isUnexplained = /<skipped\b/.test(body) && !REASON.test(title);
    return isUnexplained && file.includes("kafka") ? [`${file}: ${title}`] : [];
  });
}
