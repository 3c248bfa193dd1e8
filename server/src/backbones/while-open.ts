/** Facets whose calls reject while their backbone is closed. */
import type { Cursors, Queue } from "./contract.ts";

/** Makes the call; or rejects with a `BackboneError`, because the backbone is closed. */
export type WhileOpen = <T>(call: () => Promise<T>) => Promise<T>;

export function cursorsWhileOpen(cursors: Cursors, whileOpen: WhileOpen): Cursors {
  return {
    claim: (...given) => whileOpen(() => cursors.claim(...given)),
    write: (...given) => whileOpen(() => cursors.write(...given)),
    forget: (...given) => whileOpen(() => cursors.forget(...given)),
  };
}

export function queueWhileOpen(queue: Queue, whileOpen: WhileOpen): Queue {
  const { dead } = queue;
  return {
    enqueue: (...given) => whileOpen(() => queue.enqueue(...given)),
    lease: (...given) => whileOpen(() => queue.lease(...given)),
    done: (...given) => whileOpen(() => queue.done(...given)),
    fail: (...given) => whileOpen(() => queue.fail(...given)),
    extend: (...given) => whileOpen(() => queue.extend(...given)),
    held: (...given) => whileOpen(() => queue.held(...given)),
    watch: (...given) => whileOpen(() => queue.watch(...given)),
    info: (...given) => whileOpen(() => queue.info(...given)),
    pause: (...given) => whileOpen(() => queue.pause(...given)),
    forget: (...given) => whileOpen(() => queue.forget(...given)),
    dead: {
      list: (...given) => whileOpen(() => dead.list(...given)),
      get: (...given) => whileOpen(() => dead.get(...given)),
      replay: (...given) => whileOpen(() => dead.replay(...given)),
      purge: (...given) => whileOpen(() => dead.purge(...given)),
    },
  };
}
