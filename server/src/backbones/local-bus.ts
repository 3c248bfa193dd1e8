/** The bus of the backbones that live in the gateway's own process. */
import type { Frame, FrameListener } from "./contract.ts";

/** One `add`. The same function may listen twice. */
interface Listening {
  readonly channel: string;
  readonly listener: FrameListener;
  readonly owner: object;
  /** The next on the same channel. A frame that is under way follows it from one that was taken off as well. */
  next: Listening | undefined;
  stopped: boolean;
}

export class LocalBus {
  /** The first on each channel. There are very many channels, with one listener as a rule: so it is no list. */
  readonly #listeners = new Map<string, Listening>();

  has(channel: string): boolean {
    return this.#listeners.has(channel);
  }

  emit(channel: string, frame: Frame): void {
    for (let one = this.#listeners.get(channel); one !== undefined; one = one.next) {
      if (!one.stopped) one.listener(frame);
    }
  }

  /** The returned function takes the listener off, at once; calling it again does nothing. `owner` is whom `clear` is called for. */
  add(channel: string, listener: FrameListener, owner: object = this): () => Promise<void> {
    const own: Listening = { channel, listener, owner, next: undefined, stopped: false };
    const last = this.#last(channel);
    if (last) last.next = own;
    else this.#listeners.set(channel, own);
    return this.#takerOff(own);
  }

  /** Takes off all listeners of one owner. */
  clear(owner: object = this): void {
    for (const first of this.#listeners.values()) {
      for (let one: Listening | undefined = first; one !== undefined; one = one.next) {
        if (one.owner === owner) this.#takeOff(one);
      }
    }
  }

  /** Apart from `add`, so that the function keeps nothing else alive: there are as many as channels. */
  #takerOff(own: Listening): () => Promise<void> {
    return async () => this.#takeOff(own);
  }

  #last(channel: string): Listening | undefined {
    let last = this.#listeners.get(channel);
    while (last?.next) last = last.next;
    return last;
  }

  #takeOff(own: Listening): void {
    if (own.stopped) return;
    own.stopped = true;
    const { channel } = own;
    const first = this.#listeners.get(channel);
    if (first === own) {
      if (own.next) this.#listeners.set(channel, own.next);
      else this.#listeners.delete(channel);
      return;
    }
    for (let one = first; one !== undefined; one = one.next) if (one.next === own) one.next = own.next;
  }
}
