/** What a scenario is: contenders that are measured in turn, each in every repeat. See README.md for how to add one. */

/** What one contender came to under one load in one repeat. */
export interface Measured {
  /** Rows of equal load are compared: "1,000 msg/s". "" where there is one only. */
  readonly load: string;
  /** In the scenario's unit. */
  readonly value: number;
  /** More columns, by their title; medians are shown. */
  readonly details?: Readonly<Record<string, number>>;
  /** Of its core, 0 to 1: of the server and of what loads it. */
  readonly serverShare?: number;
  readonly generatorShare?: number;
  /** Cores that were busy with anything else meanwhile: 0 on a quiet machine. */
  readonly othersShare?: number;
  /** What was missing, repeated or wrong; anything here makes the command fail. */
  readonly faults?: readonly string[];
  /** The server could not keep up with what was offered: its figure is what it managed. */
  readonly behind?: boolean;
}

export interface Contender {
  readonly name: string;
  /** What it is built of, for the record: `{ "socket.io": "4.8.4" }`. */
  readonly versions?: () => Readonly<Record<string, string>>;
  /** Builds what must be built, before the first repeat. Resolves with the reason where it cannot run here. */
  prepare?(): Promise<string | undefined>;
  /** One repeat: starts what it needs, warms up, measures each load, and leaves nothing behind. */
  measure(): Promise<readonly Measured[]>;
}

/** Whom others are compared with: one contender, or the best of several. */
export interface Control {
  /** Title of the column: "of C". */
  readonly title: string;
  readonly contenders: readonly string[];
  /** Who is compared with it; absent: everybody. */
  readonly compared?: readonly string[];
}

/** What a row must reach, at least, of a control. */
export interface Goal {
  readonly contender: string;
  readonly load: string;
  /** Title of the control; absent: the value itself. */
  readonly control?: string;
  /** Title of a detail where less is better, such as a latency, that is looked at, or compared, in place of the value. */
  readonly detail?: string;
  /** At least; at most for a detail, and where less is better. */
  readonly bound: number;
  /** Which of both, where it is not as it would be by itself: a figure that must lie between two has a goal for each. */
  readonly side?: "at least" | "at most";
}

export interface Scenario {
  /** As it is called on the command line. */
  readonly name: string;
  readonly title: string;
  /** What is done, and what the figure is: a sentence or two. */
  readonly about: string;
  readonly unit: string;
  readonly better: "more" | "less";
  /** How many digits behind the point; large figures are shortened. */
  readonly digits?: number;
  /** Of one repeat of everything on a quiet machine. */
  readonly expectedSeconds: number;
  /** Takes long, or much memory: not one of `all`, but of `apart`. */
  readonly apart?: boolean;
  /** What runs on which core, where processes can be pinned; default: servers on one core, what calls them on the other. */
  readonly cores?: string;
  /** A contender that takes longer is given up; default 120. */
  readonly patienceSeconds?: number;
  readonly contenders: readonly Contender[];
  readonly controls: readonly Control[];
  readonly goals?: readonly Goal[];
}
