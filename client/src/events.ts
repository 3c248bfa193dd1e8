/** Listeners by the name of what they listen to; `Payloads` says what each name carries. */
export class Events<Payloads extends object> {
  readonly #listeners = new Map<keyof Payloads, Set<(payload: never) => void>>();

  /** The returned function removes the listener. */
  on<Name extends keyof Payloads>(name: Name, listener: (payload: Payloads[Name]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  /** Returns whether anybody listens. */
  emit<Name extends keyof Payloads>(name: Name, payload: Payloads[Name]): boolean {
    const listeners = [...(this.#listeners.get(name) ?? [])] as ((payload: Payloads[Name]) => void)[];
    for (const listener of listeners) {
      try {
        listener(payload);
      } catch (error) {
        // The listener's own fault: it must be seen, but neither here nor by the other listeners.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    return listeners.length > 0;
  }
}
