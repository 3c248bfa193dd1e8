/** Listeners by the name of what they listen to; `Payloads` says what each name carries. */
export class Events<Payloads extends object> {
  readonly #warned = new Set<string>();
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

  /**
   * As `emit`, for what must not be overlooked: if nobody listens, it is said on the console, once for each name. `title` names
   * what it is about, `heard` says that the application learns of it in another way as well.
   */
  alarm<Name extends keyof Payloads & string>(
    name: Name,
    payload: Payloads[Name],
    title: string,
    heard: boolean = false,
  ): void {
    if (this.emit(name, payload) || heard || this.#warned.has(name)) return;
    this.#warned.add(name);
    console.warn(`todoku: ${title}, and nobody listens: use .on(${JSON.stringify(name)}, …). Said once.`, payload);
  }
}
