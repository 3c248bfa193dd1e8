import { fileCursors } from "@todoku/client/file";
import { Todoku, type CursorStore, type Message, type Position, type SubscribeOptions } from "@todoku/client";
import type { EventLog } from "../events.ts";
import type { SeededRandom } from "../seeded-random.ts";
import { isClosing, type Channels, type Payload } from "./payload.ts";

/** One consumer of a channel, across all its clients. What it handles goes to the log of events. */
export class Subscriber {
  readonly name: string;
  readonly channel: string;
  readonly #log: EventLog;
  /** The position of the last message handled; what an application would keep in its database, with the effect. */
  #handled: Position | undefined;
  #count = 0;
  #finished = false;

  constructor(name: string, channel: string, log: EventLog) {
    this.name = name;
    this.channel = channel;
    this.#log = log;
  }

  /** It has handled the channel's last message. */
  get finished(): boolean {
    return this.#finished;
  }

  /** How many messages it has handled. */
  get count(): number {
    return this.#count;
  }

  /** A store that is written together with the handler's effect: here, in `#handle`. */
  get committed(): CursorStore {
    return { get: () => this.#handled, set: () => {}, delete: () => {} };
  }

  /** Subscribes. After `abort` the client counts as crashed: its handler does nothing more, and never returns. */
  async follow(client: Todoku<Channels>, options: SubscribeOptions = {}, crash?: AbortSignal): Promise<void> {
    const { name: subscriber, channel } = this;
    const subscription = client.subscribe(
      channel,
      async (message) => {
        await begun;
        if (crash?.aborted) await new Promise(() => {});
        this.#handle(message);
      },
      options,
    );
    subscription.on("gap", ({ from, to, reason }) =>
      this.#log.append({ kind: "gap", subscriber, channel, from, to, reason }),
    );
    const begun = subscription.ready.then(() => {
      const from = subscription.position;
      this.#log.append({ kind: "subscribed", subscriber, channel, ...(from && { from }) });
    });
    await begun;
  }

  #handle({ data: { key, text }, epoch = "", offset = 0, prev }: Message<Payload>): void {
    const { name: subscriber, channel } = this;
    this.#handled = { epoch, offset };
    this.#count++;
    if (isClosing(key)) this.#finished = true;
    this.#log.append({
      kind: "handled",
      subscriber,
      channel,
      key,
      data: text,
      position: { epoch, offset },
      ...(prev !== undefined && { prev }),
    });
  }
}

/** How a durable subscriber keeps its position between its visits, and how it leaves. */
export type Habit =
  /** It keeps nothing and may crash: the server's cursor is all there is. */
  | "server only"
  /** Its position is committed with the handler's effect, and it may crash. */
  | "with the effect"
  /** Its positions are in a file, and it leaves in order. */
  | "file";

/** A durable subscriber that comes, handles some messages, leaves or crashes, and comes back. In the end it stays. */
export async function roam(
  subscriber: Subscriber,
  habit: Habit,
  folder: string,
  makeClient: (cursors: CursorStore | undefined) => Todoku<Channels>,
  log: EventLog,
  random: SeededRandom,
  stop: AbortSignal,
): Promise<void> {
  const options = { durable: subscriber.name };
  const cursors = { "server only": undefined, "with the effect": subscriber.committed, file: undefined }[habit];
  const newClient = (): Todoku<Channels> =>
    makeClient(habit === "file" ? fileCursors(`${folder}/${subscriber.name}.json`) : cursors);
  while (!stop.aborted) {
    const client = newClient();
    const crash = new AbortController();
    await subscriber.follow(client, options, crash.signal);
    const enough = subscriber.count + random.integer(1, 30);
    await log.until(() => subscriber.count >= enough, stop);
    if (habit === "file" || random.next() < 0.5) {
      await client.close();
    } else {
      crash.abort();
      client.disconnect();
    }
    const later = log.count("ok") + random.integer(1, 100);
    await log.until(() => log.count("ok") >= later, stop);
  }
  await subscriber.follow(newClient(), options);
}
