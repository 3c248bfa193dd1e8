/** What an application sees of a subscription. */
import type { ClientInfo, Json, Position, TodokuError } from "@todoku/protocol";
import type { Gap, Message } from "./message.ts";

export interface SubscribeOptions {
  /**
   * Name of a durable subscription of this user: its cursor is kept by the server, so that a device that comes back after
   * days goes on where it stopped. Messages are acknowledged when their handler is done. Of two clients with the same name the
   * newer takes over, and the older one's subscription ends with the error `taken_over`.
   */
  readonly durable?: string;
  /**
   * Where it begins when no position is known yet: with what is published from now on (`"new"`, the default), with the oldest
   * message that is kept, or after a position.
   */
  readonly start?: "new" | "earliest" | Position;
  /** Acknowledge messages without a durable cursor: the server limits how many are under way and repeats failed ones. */
  readonly ack?: boolean;
  /** Most messages under way unacknowledged, 1 to 10,000; default 100. */
  readonly inFlight?: number;
  /** Be told who joins and leaves, where the namespace tells. */
  readonly joinLeave?: boolean;
  /** For the server's own decision about this subscription. */
  readonly data?: Json;
  /**
   * How often a message is given to a handler that throws, before the subscription ends with the error `handler_failed`;
   * default 5. With `durable` or `ack` the server counts, by the namespace's `redelivery`.
   */
  readonly maxAttempts?: number;
}

/** `subscribing`: asked for, or to be asked for when the client is connected again. `closed`: for good. */
export type SubscriptionState = "subscribing" | "subscribed" | "closed";

export interface SubscriptionEvents {
  state: SubscriptionState;
  /** Messages that cannot be delivered. Warns on the console if nobody listens. */
  gap: Gap;
  join: ClientInfo;
  leave: ClientInfo;
  /** What went wrong: a handler that threw, a refusal, the end. Warns on the console if nobody listens. */
  error: TodokuError;
}

/**
 * A subscription to one channel. It outlives connections: after each loss it goes on where it stopped.
 *
 * Given without a handler it is iterated, once: `for await (const message of subscription)`. A message counts as handled when
 * the loop asks for the next one; leaving the loop closes the subscription, and the message it was left with counts as not
 * handled.
 */
export interface Subscription<Data = Json> extends AsyncIterable<Message<Data>> {
  readonly channel: string;
  readonly state: SubscriptionState;
  /** Everything up to it was handled. Undefined before the first subscribe, and on channels that keep no log. */
  readonly position: Position | undefined;
  /** Resolves at the first successful subscribe. @throws TodokuError if the server refuses for good, or it is closed before. */
  readonly ready: Promise<void>;
  /** The returned function removes the listener. */
  on<Name extends keyof SubscriptionEvents>(
    name: Name,
    listener: (payload: SubscriptionEvents[Name]) => void,
  ): () => void;
  /**
   * Ends it: begins no further message, waits for the running handler, or for the loop to ask for the next message (at most
   * `timeoutMs`; so do not await this inside the handler, and leave a loop by `break`), stores what was acknowledged, unsubscribes. `forget` also removes the durable cursor and the stored position.
   *
   * @throws TodokuError 450 if `forget` was asked for and the durable cursor could not be removed.
   */
  close(options?: { readonly forget?: boolean }): Promise<void>;
}
