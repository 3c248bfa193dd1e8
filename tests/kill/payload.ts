/** What is published: the key, which is the idempotency key too, names the message in every log. */
export interface Payload {
  readonly key: string;
  readonly text: string;
}

export type Channels = Record<string, Payload>;

/** The last message of a channel: who has it has come to the end of the run. */
export function isClosing(key: string): boolean {
  return key.startsWith("closing ");
}

export function closing(channel: string): Payload {
  return { key: `closing ${channel}`, text: "" };
}
