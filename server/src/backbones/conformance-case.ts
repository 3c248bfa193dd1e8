/** What the rules of the conformance suite are written with. */
import assert from "node:assert/strict";
import type {
  AppendOptions,
  Backbone,
  Bus,
  Capabilities,
  Cursor,
  CursorKey,
  Cursors,
  Frame,
  Log,
  Message,
  StoredMessage,
} from "./contract.ts";

/** Longest time that a test waits for something that must happen. */
const PATIENCE_MS = 10_000;
export const KEEP: AppendOptions = { retention: {} };

/** The clock that a store measures age, windows and leases by. */
export interface StoreClock {
  /** Moves it; absent where it cannot be moved. */
  advance?(ms: number): Promise<void>;
  /** What it says, in ms since 1970; absent where it is this process's. */
  now?(): number;
}

/** One obligation of the contract. */
export interface Rule {
  readonly title: string;
  readonly needs: "bus" | "log" | "cursors";
  /** Why a backbone with these capabilities is not held to it. */
  readonly unless?: (capabilities: Capabilities, one: Backbone) => string | undefined;
  /** Rejects where a backbone does not keep it. */
  readonly run: (at: Case) => Promise<void>;
}

/** A channel of its own on two instances, and short ways to say things. */
export class Case {
  readonly one: Backbone;
  readonly other: Backbone;
  readonly channel: string;
  readonly cursorKey: CursorKey;
  time: number = Date.now();
  readonly #patienceMs: number;
  #count = 0;

  constructor(
    one: Backbone,
    other: Backbone,
    {
      channel = `test:${crypto.randomUUID()}`,
      patienceMs = PATIENCE_MS,
    }: { channel?: string; patienceMs?: number } = {},
  ) {
    this.one = one;
    this.other = other;
    this.channel = channel;
    this.cursorKey = { channel, user: "ann", name: "phone" };
    this.#patienceMs = patienceMs;
  }

  get bus(): Bus {
    return present(this.one.bus);
  }
  get log(): Log {
    return present(this.one.log);
  }
  get cursors(): Cursors {
    return present(this.one.cursors);
  }

  message(text: string): Message {
    return { id: `${this.channel}-${this.#count++}`, time: this.time, data: JSON.stringify(text) };
  }

  append(text: string, options: AppendOptions = KEEP): ReturnType<Log["append"]> {
    return this.log.append(this.channel, this.message(text), options);
  }

  cursor({ epoch, offset }: { epoch: string; offset: number }, sent = offset, attempts = 0): Cursor {
    return { position: { epoch, offset }, sent, attempts };
  }

  /** Asks again, a little later each time, until there is an answer. */
  async eventually<T>(ask: () => Promise<T | undefined>): Promise<T> {
    const deadline = Date.now() + this.#patienceMs;
    for (let wait = 1; ; wait = Math.min(wait * 2, 250)) {
      const answer = await ask();
      if (answer !== undefined) return answer;
      if (Date.now() > deadline) {
        throw new assert.AssertionError({ message: `did not happen within ${this.#patienceMs} ms` });
      }
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}

export function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("the backbone lacks a facet that its sibling has");
  return value;
}

export function offsets(messages: readonly StoredMessage[]): number[] {
  return messages.map(({ offset }) => offset);
}

export function signal(text: string): Frame {
  return { kind: "signal", signal: text };
}

export async function listen(bus: Bus, channel: string): Promise<{ readonly frames: Frame[]; stop(): Promise<void> }> {
  const frames: Frame[] = [];
  const stop = await bus.subscribe(channel, (frame) => frames.push(frame));
  return { frames, stop };
}

/** A bus may lose frames: publishes until the condition holds. */
export async function publishUntil(at: Case, condition: () => boolean): Promise<void> {
  await at.eventually(async () => {
    await at.bus.publish(at.channel, signal(JSON.stringify({ n: 1 })));
    return condition() ? true : undefined;
  });
}
