/** What the server, the workers and the page tell each other. */
import type { ProcessState } from "../processes.ts";

/** A job of the queue `jobs:resize`. It carries where the picture lies, not the picture. */
export interface Resize {
  /** Names the upload; the browser chose it. */
  readonly picture: string;
  readonly name: string;
  /** SHA-256 of the picture, under which it is kept. */
  readonly hash: string;
  /** Who gets the result. */
  readonly visitor: string;
}

/** On `pictures:VISITOR`, exactly once: all that a page needs to show the visitor's pictures, also after a reload. */
export type PictureEvent =
  | { readonly kind: "accepted"; readonly picture: string; readonly name: string }
  | {
      readonly kind: "done";
      readonly picture: string;
      /** Path of the thumbnail on the server. */
      readonly thumbnail: string;
      readonly width: number;
      readonly height: number;
      readonly attempt: number;
      readonly worker: number;
    };

/** On `progress:VISITOR`, at most once: nice to see, and nothing is missed if it is lost. */
export interface Progress {
  readonly picture: string;
  /** Process id. */
  readonly worker: number;
  readonly attempt: number;
  readonly step: Step;
}

export const STEPS = ["reading", "resizing", "saving"] as const;
export type Step = (typeof STEPS)[number] | "failed";

/** On `workers:all`, the newest only: which processes there are. */
export interface Crew {
  readonly workers: readonly ProcessState[];
}

/** `GET /dead`: the visitor's pictures that were given up. */
export interface DeadPicture {
  /** Names the dead letter. */
  readonly id: string;
  readonly picture: string;
  readonly reason: string;
  readonly attempts: number;
}

export const QUEUE = "jobs:resize";
export const GROUP = "resizers";
export const CREW = "workers:all";

/** What travels on which channel. */
export type Channels = {
  [QUEUE]: Resize;
  [CREW]: Crew;
  [pictures: `pictures:${string}`]: PictureEvent;
  [progress: `progress:${string}`]: Progress;
};
