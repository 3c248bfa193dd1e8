/** Follows one channel with the SDK, and keeps its tally and its lane true. */
import { CLIENT_ERRORS, type Gap, type Json, type Message, type Subscription, type Todoku } from "@todoku/client";
import { Lane, type LaneControls } from "./lane.ts";
import type { ChannelPromise } from "../promise.ts";
import { Tally, type Arrival, type Presence, type Remembered, type Sent } from "./tally.ts";

export interface FollowerOptions {
  readonly promise: ChannelPromise;
  readonly client: Todoku;
  /** Name of the tab's durable subscriptions. */
  readonly durable: string;
  readonly remembered?: Remembered;
  /** ms since 1970. */
  readonly now: () => number;
  readonly onArrival: (channel: string) => void;
}

export class Follower {
  readonly promise: ChannelPromise;
  readonly tally: Tally;
  readonly lane: Lane;
  readonly #options: FollowerOptions;
  #subscription: Subscription | undefined;
  #cut = false;
  #failing = false;
  /** Nobody remembers where this tab stood: what was published before it came is none of its business. */
  #fresh: boolean;

  constructor(options: FollowerOptions, controls: LaneControls) {
    const { promise, remembered, now } = options;
    this.#options = options;
    this.#fresh = remembered === undefined;
    this.promise = promise;
    this.tally = new Tally(promise.delivery, now(), remembered);
    this.lane = new Lane(promise, this.tally, controls);
  }

  get left(): boolean {
    return this.#subscription === undefined;
  }

  /** Resolves when the first subscribe was answered. */
  async join(): Promise<void> {
    const { client, durable, now } = this.#options;
    const { channel, delivery } = this.promise;
    const subscription = client.subscribe(
      channel,
      (message: Message) => this.#handle(message),
      delivery === "at-most-once" ? {} : { durable },
    );
    this.#subscription = subscription;
    subscription.on("state", () => this.#show());
    subscription.on("gap", (gap: Gap) => {
      this.tally.gap(gap);
      this.lane.render();
    });
    subscription.on("error", ({ code, message }) => {
      // The failures that one has asked for are on the tape already.
      if (code !== CLIENT_ERRORS.handlerFailed.code) this.note(message);
    });
    this.#show();
    await subscription.ready;
    if (this.#fresh) this.tally.beginAgain(now());
    this.#fresh = false;
  }

  /** With `forget` the server drops the durable cursor: what is published meanwhile is none of this tab's business. */
  async leave(forget: boolean): Promise<void> {
    const subscription = this.#subscription;
    this.#subscription = undefined;
    await subscription?.close({ forget });
    this.#fresh ||= forget;
    this.note(forget ? "you left for good" : "you left");
    this.#show();
  }

  /** The user has cut, or mended, the connection. */
  set cut(cut: boolean) {
    this.#cut = cut;
    this.#show();
  }

  /** The handler throws. */
  set failing(failing: boolean) {
    this.#failing = failing;
    this.lane.failing = failing;
  }

  note(text: string): void {
    this.tally.note(text);
    this.lane.render();
  }

  /** A sender tells of a publish that was accepted. */
  sent(sent: Sent): void {
    const now = this.#options.now();
    this.tally.sent(sent, now);
    this.tally.settle(now);
    this.lane.render();
  }

  settle(): void {
    if (this.tally.settle(this.#options.now())) this.lane.render();
  }

  #handle(message: Message): void {
    const arrival = read(message, this.#options.now());
    if (this.#failing) {
      this.tally.failed(arrival);
      this.lane.render();
      throw new Error("the handler failed, as you asked it to");
    }
    this.tally.arrived(arrival);
    this.lane.render();
    this.#options.onArrival(this.promise.channel);
  }

  #show(): void {
    const state = this.#state();
    this.tally.here = state === "subscribed";
    this.lane.state = state;
  }

  #state(): Presence {
    if (this.#subscription === undefined) return "left";
    if (this.#cut) return "cut";
    return this.#subscription.state === "subscribed" ? "subscribed" : "subscribing";
  }
}

/** Messages of this page say who sent them and under which id; others are shown as they are. */
function read({ data, offset, epoch, id, time, redelivered }: Message, now: number): Arrival {
  const { id: own, text, from } = isObject(data) ? data : {};
  return {
    id: typeof own === "string" ? own : (id ?? `${epoch} ${offset}`),
    text: typeof text === "string" ? text : JSON.stringify(data),
    from: typeof from === "string" ? from : "from outside",
    redelivered: redelivered,
    ...(offset !== undefined && { offset }),
    ...(time !== undefined && { waitedMs: now - time }),
  };
}

function isObject(data: unknown): data is Record<string, Json> {
  return typeof data === "object" && data !== null && !Array.isArray(data);
}
