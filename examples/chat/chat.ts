/**
 * The chat: what an application writes. It knows the SDK and the name of a room, and nothing of gateways, brokers or
 * guarantees; those are in `configs.ts`.
 */
import { Todoku } from "@todoku/client";

export interface Line {
  readonly from: string;
  readonly text: string;
}

type Rooms = Record<`chat:${string}`, Line>;

export interface Chatter {
  say(text: string): Promise<void>;
  leave(): Promise<void>;
}

/** Enters a room. Resolves when everything that is said from now on is heard; `hear` is called with every line. */
export async function enter(url: string, room: string, name: string, hear: (line: Line) => void): Promise<Chatter> {
  const channel = `chat:${room}` as const;
  const client = new Todoku<Rooms>(url, { name });
  const subscription = client.subscribe(channel, ({ data }) => hear(data));
  await subscription.ready;
  return {
    say: async (text) => void (await client.publish(channel, { from: name, text })),
    leave: () => client.close(),
  };
}
