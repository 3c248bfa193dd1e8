/** What the server promises on a channel that the page shows; it is written into the page. */
import type { Delivery } from "../backbones/contract.ts";

export interface ChannelPromise {
  readonly channel: string;
  readonly delivery: Delivery;
  /** Attempts after which a message whose handler fails is given up. */
  readonly maxAttempts: number;
  /** Channel of the messages that failed too often. */
  readonly deadLetters?: string;
}
