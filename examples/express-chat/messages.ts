/** What server and page tell each other. */

export const ROOM = "room:lobby";

export interface ChatMessage {
  readonly text: string;
}

/** The body of `POST /login`; the answer is `{token}` or `{error}`. */
export interface Login {
  readonly name: string;
}
