/** A script that Redis runs as a whole or not at all. */
import { createHash } from "node:crypto";

export interface Script {
  readonly source: string;
  readonly sha: string;
  readonly writes: boolean;
}

export function script(writes: boolean, source: string): Script {
  return { source, writes, sha: createHash("sha1").update(source).digest("hex") };
}
