/**
 * Tells whoever archives a namespace which of its channels were written. Only a hint: told a few times a second over the bus, which
 * may lose it.
 */
import type { Bus } from "../backbones/contract.ts";
import type { Clock } from "../clock.ts";

const TOGETHER_MS = 100;
/** Names in one frame of the bus. */
const TOLD_AT_ONCE = 500;

export class WrittenChannels {
  readonly #place: string;
  readonly #bus: Bus;
  readonly #clock: Clock;
  #written = new Set<string>();

  constructor(namespace: string, bus: Bus, clock: Clock) {
    // Channels that begin with $ cannot be named by clients.
    this.#place = `$written.${namespace}`;
    this.#bus = bus;
    this.#clock = clock;
  }

  add(channel: string): void {
    this.#written.add(channel);
    if (this.#written.size === 1) this.#clock.after(TOGETHER_MS, () => this.#tell());
  }

  /** Calls back with channels that were written, by any process. */
  listen(heard: (channels: readonly string[]) => void): Promise<() => Promise<void>> {
    return this.#bus.subscribe(this.#place, (frame) => {
      if (frame.kind === "signal") heard(namesIn(frame.signal));
    });
  }

  #tell(): void {
    const names = [...this.#written];
    this.#written = new Set();
    for (let i = 0; i < names.length; i += TOLD_AT_ONCE) {
      const signal = JSON.stringify(names.slice(i, i + TOLD_AT_ONCE));
      // Whoever archives looks for itself from time to time.
      this.#bus.publish(this.#place, { kind: "signal", signal }).catch(() => {});
    }
  }
}

/** Anybody may speak on the bus who may publish on the broker. */
function namesIn(text: string): readonly string[] {
  try {
    const names: unknown = JSON.parse(text);
    return Array.isArray(names) ? names.filter((name) => typeof name === "string") : [];
  } catch {
    return [];
  }
}
