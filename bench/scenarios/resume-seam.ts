/** What it costs a client that its messages are in the storage by now. */
import { MISSED, resumes } from "../archive/resumes.ts";
import { versionOf } from "../package-version.ts";
import type { Contender, Scenario } from "../scenario.ts";

const IN_LOG = "all in the log";

const versions: Contender["versions"] = () => ({ lmdb: versionOf("lmdb"), pg: versionOf("pg") });

/** The log has so many of them. */
const PLACES: readonly (readonly [name: string, inLog: number])[] = [
  [IN_LOG, 2 * MISSED],
  ["across the seam", MISSED / 2],
  ["all but one in PostgreSQL", 1],
];

export const resumeSeam: Scenario = {
  name: "resume-seam",
  title: "Resume across the seam to the storage",
  about:
    `A client of the SDK subscribes with a position that is ${MISSED} messages old: the figure is how long it takes until all are handled, once connected, the median of 200. ` +
    "The log is `embedded`; half of them, or all but one, are in PostgreSQL only.",
  unit: "ms",
  better: "less",
  digits: 2,
  expectedSeconds: 20,
  contenders: PLACES.map(([name, inLog]) => ({ name, versions, measure: async () => [await resumes(inLog)] })),
  controls: [{ title: "of in the log", contenders: [IN_LOG] }],
};
