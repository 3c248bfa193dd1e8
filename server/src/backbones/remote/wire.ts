/**
 * What crosses the socket between the process that owns a store and the processes that use it. Both are of one program on one
 * machine; a reload may start one of a newer version beside an older one, hence the number.
 *
 * To the owner: `[id, call, ...arguments]`. From it: `["store", WIRE]` once, then `[id, result]`, `[id, null, reason, message]`,
 * `["message", channel, …]` (see packed.ts), `["frame", channel, frame]` for other frames, `["job", queue]` and `["interrupted"]`.
 */
export const WIRE = 1;

/** What an unanswered call may have done: an `effect`, or nothing (`question`). */
export const CALLS = {
  check: "question",
  "bus.publish": "effect",
  "bus.subscribe": "question",
  "bus.unsubscribe": "question",
  "log.append": "effect",
  "log.read": "question",
  "log.heads": "question",
  "log.remove": "effect",
  "log.channels": "question",
  "cursors.claim": "effect",
  "cursors.write": "effect",
  "cursors.forget": "effect",
  "queue.enqueue": "effect",
  "queue.lease": "effect",
  "queue.done": "effect",
  "queue.fail": "effect",
  "queue.extend": "effect",
  "queue.held": "question",
  "queue.watch": "question",
  "queue.unwatch": "question",
  "queue.info": "question",
  "queue.pause": "effect",
  "queue.forget": "effect",
  "queue.dead.list": "question",
  "queue.dead.get": "question",
  "queue.dead.replay": "effect",
  "queue.dead.purge": "effect",
} as const;

export type Call = keyof typeof CALLS;

/** Those that hold for as long as the connection: the owner answers them itself. */
export const STANDING = ["bus.subscribe", "bus.unsubscribe", "queue.watch", "queue.unwatch"] as const;
export type Standing = (typeof STANDING)[number];

/** Those whose answers may be large: the owner begins the next only when the last is on its way. */
export const BULKY: ReadonlySet<string> = new Set<Call>([
  "log.read",
  "log.channels",
  "queue.dead.list",
  "queue.dead.get",
]);

/** One thing said. */
export type Item = readonly unknown[];
