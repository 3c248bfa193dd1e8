/** The bus of the backbones that live in the gateway's own process. */
import type { Frame, FrameListener } from "./contract.ts";

export class LocalBus {
  readonly #listeners = new Map<string, Set<FrameListener>>();

  has(channel: string): boolean {
    return this.#listeners.has(channel);
  }

  emit(channel: string, frame: Frame): void {
    for (const listener of this.#listeners.get(channel) ?? []) listener(frame);
  }

  /** The returned function takes the listener off, at once; calling it again does nothing. */
  add(channel: string, listener: FrameListener): () => Promise<void> {
    // The same function may listen twice: each time it is a listener of its own.
    const own: FrameListener = (frame) => listener(frame);
    const ofChannel = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, ofChannel.add(own));
    return async () => {
      ofChannel.delete(own);
      if (ofChannel.size === 0 && this.#listeners.get(channel) === ofChannel) this.#listeners.delete(channel);
    };
  }

  clear(): void {
    for (const ofChannel of this.#listeners.values()) ofChannel.clear();
    this.#listeners.clear();
  }
}
