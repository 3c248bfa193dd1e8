/** What other entries of this package add to a client: a part that lives on its connections, and dies with it. */
import type { Method, Push, Requests, Results, TodokuError } from "@todoku/protocol";
import type { Clock } from "./clock.ts";

/** How a part sees a connection. */
export interface PartConnection {
  ask<M extends Method>(
    method: M,
    request: Requests[M],
    answered: (error: TodokuError | undefined, result: Results[M]) => void,
  ): void;
}

export interface PartHost {
  readonly clock: Clock;
  /** Before retry `n`, counted from 0. */
  readonly backoff: { delay(n: number): number };
  /** The connection, once its `connect` was accepted. */
  readonly connection: PartConnection | undefined;
  /** The part is over. */
  gone(part: object): void;
}

export interface ClientPart {
  /** A connection is there, or about to be; may be told twice of the same. */
  join(connection: PartConnection): void;
  /** The connection is gone. */
  left(): void;
  push(push: Push): void;
  /** The client closes: finishes what is under way. */
  close(): Promise<void>;
  /** The client is over. */
  fail(error: TodokuError): void;
}

/** What a part is attached to: a `Todoku`. */
export interface PartClient {
  /** For entries of this package, such as `@todoku/client/queue`. Connects, if that has not begun yet. */
  attach<P extends ClientPart>(make: (host: PartHost) => P): P;
}
