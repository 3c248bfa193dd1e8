import type { Position } from "@todoku/protocol";

/**
 * Where handled positions are kept across reloads. With one, each message is handed to the handler once, also if the page is
 * reloaded or the process restarted between.
 *
 * A key names a channel; one store belongs to one consumer: give two clients that share a storage (two tabs that both do the
 * work) a prefix or name each.
 *
 * To commit the position together with the handler's effect, write `message.epoch` and `message.offset` in the handler's own
 * database transaction, and give a store whose `get` reads them back and whose `set` does nothing. For PostgreSQL there is
 * `@todoku/client/postgres`.
 *
 * A store that rejects with a `TodokuError` 404 `taken_over` ends the subscription; other failures are tried again.
 */
export interface CursorStore {
  /** The position last set, or undefined. Called once, before the first subscribe. */
  get(key: string): Promise<Position | undefined> | Position | undefined;
  /**
   * Called after the handler, and with where a gap has led to, which may lie behind the position last set: a log was rewound. The
   * next message is not begun before it has resolved.
   */
  set(key: string, position: Position): Promise<void> | void;
  delete(key: string): Promise<void> | void;
}
