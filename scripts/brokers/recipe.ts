/** What a broker for the tests is made of. A recipe is one file beside this one, and one line in `recipes.ts`. */
import type { ServerProcess } from "./server-process.ts";

export interface Recipe {
  readonly name: string;
  /** Programs that must be on the machine, each with the Debian package that brings it. */
  readonly programs: Readonly<Record<string, string>>;
  /** Gets what no Debian package brings, once per checkout. */
  fetch?(): Promise<void>;
  /** Starts everything in an empty folder, on free loopback ports. Resolves when it answers; rejects with what went wrong. */
  start(folder: string): Promise<Cluster>;
}

/** The running servers of one recipe. */
export interface Cluster {
  /** Where clients connect; several for what has several doors. */
  readonly urls: readonly string[];
  readonly servers: readonly ServerProcess[];
}
