/** The bus of the backbones that live in the gateway's own process. */
import type { Frame, FrameListener } from "./contract.ts";

/** One `add`. The same function may listen twice. */
interface Listening {
  readonly listener: FrameListener;
  stopped: boolean;
}

export class LocalBus {
  /** The lists are never altered: there are very many with one entry, and a frame may make its listeners come and go. */
  readonly #listeners = new Map<string, readonly Listening[]>();

  has(channel: string): boolean {
    return this.#listeners.has(channel);
  }

  emit(channel: string, frame: Frame): void {
    const listeners = this.#listeners.get(channel);
    if (listeners === undefined) return;
    for (const one of listeners) if (!one.stopped) one.listener(frame);
  }

  /** The returned function takes the listener off, at once; calling it again does nothing. */
  add(channel: string, listener: FrameListener): () => Promise<void> {
    const own: Listening = { listener, stopped: false };
    this.#listeners.set(channel, [...(this.#listeners.get(channel) ?? []), own]);
    return async () => {
      if (own.stopped) return;
      own.stopped = true;
      const others = (this.#listeners.get(channel) ?? []).filter((one) => one !== own);
      if (others.length === 0) this.#listeners.delete(channel);
      else this.#listeners.set(channel, others);
    };
  }

  clear(): void {
    for (const listeners of this.#listeners.values()) for (const one of listeners) one.stopped = true;
    this.#listeners.clear();
  }
}
