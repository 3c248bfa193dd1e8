import { totalmem } from "node:os";

/** Of the memory that the process may use; the rest is for connections, stores, and the system's own buffers. */
const SHARE = 0.25;

/** Most bytes that may wait for the connections of one of `processes` on this machine, or in this container. */
export function queueBytesWithin(processes: number): number {
  // Without a limit it is 0, or more than there is.
  const constrained = process.constrainedMemory();
  const memory = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return Math.floor((SHARE * memory) / processes);
}
