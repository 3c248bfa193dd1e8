import type { Json } from "@todoku/protocol";
import type { BackoffRange } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import type { CursorStore } from "./cursor-store.ts";
import type { TokenSource } from "./token.ts";
import type { WebSocketConstructor } from "./web-socket.ts";

export interface TodokuOptions {
  /**
   * The connection token, or a function that fetches one: it is called before the first connect, before the token expires, and
   * when the server says that it has expired. If it rejects it is called again later, unless it rejects with a `TodokuError`
   * whose `retry` is `"stop"`: that closes the client.
   */
  readonly token?: TokenSource;
  /** Fetches the token of a channel; undefined for channels that need none. Called as `token` is. */
  readonly channelToken?: (channel: string) => Promise<string | undefined> | string | undefined;
  /** For the server's own decision about this connection. */
  readonly data?: Json;
  /** The application's name, for the server's statistics. */
  readonly name?: string;
  /** Where handled positions are kept across reloads. Default: only in memory, as long as the subscription lives. */
  readonly cursors?: CursorStore;
  /** Default: the runtime's own. */
  readonly WebSocket?: WebSocketConstructor;
  readonly clock?: Clock;
  /** Longest wait for one answer, in milliseconds; default 10,000. */
  readonly timeoutMs?: number;
  /** How long a publish is repeated before it rejects, in milliseconds; default 60,000. */
  readonly publishTimeoutMs?: number;
  /** Delays between tries, with full jitter; default 200 to 20,000 milliseconds. */
  readonly backoff?: BackoffRange;
}
