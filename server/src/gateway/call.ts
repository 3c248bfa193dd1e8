/** What one command runs with. */
import type { Reply } from "@todoku/protocol";
import type { Session } from "./session.ts";

/** Sends the reply to the command; text is a whole reply that is encoded already. */
export type Answer = (reply: string | Reply) => void;

export interface Call {
  readonly session: Session;
  readonly id: number | undefined;
  readonly answer: Answer;
}
