/** What a gateway sends to a subscriber, recorded once and given to every SDK: the fields are those that both know. */

export interface Chat {
  readonly n: number;
  readonly user: string;
  readonly text: string;
}

export const CHANNEL = "chat:42";

/** Each frame with so many messages, numbered from `first` on. */
export function framesOf(first: number, frames: number, perFrame: number): readonly string[] {
  return Array.from({ length: frames }, (_, frame) =>
    Array.from({ length: perFrame }, (_, i) => lineOf(first + frame * perFrame + i)).join("\n"),
  );
}

export function chatOf(n: number): Chat {
  return { n, user: `user ${n % 97}`, text: `what is said in message ${n} is as long as what people say in chats` };
}

function lineOf(n: number): string {
  return JSON.stringify({ push: { channel: CHANNEL, pub: { data: chatOf(n), offset: n } } });
}
