/**
 * What is broken on purpose in a world, to see that its checks notice:
 *
 * - `keys`: the log forgets idempotency keys at once.
 * - `cursors`: the backbone says that it has stored a durable cursor, and has not.
 * - `positions`: a device's own store gives back the position before the last one that it was given.
 * - `links`: each frame of the bus says that it follows the one before it, so that no reader looks into the log for what
 *   the bus has lost.
 */
export const SABOTAGES = ["keys", "cursors", "positions", "links"] as const;
export type Sabotage = (typeof SABOTAGES)[number];
