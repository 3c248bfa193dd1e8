/** The cursor facet: a hash per durable subscription. */
import { createHash } from "node:crypto";
import type { Clock } from "../../../clock.ts";
import type { ClaimedCursor, CursorKey, CursorOutcome, Cursors, CursorWrite } from "../../contract.ts";
import { CLAIM, FORGET, WRITE } from "./scripts.ts";
import type { ScriptCalls } from "./script-calls.ts";

export class RedisCursors implements Cursors {
  readonly #calls: ScriptCalls;
  readonly #keyOf: (channel: string, name: string) => string;
  readonly #lifetimeMs: number;
  readonly #clock: Clock;

  /** A cursor that is not touched for `lifetimeMs` is forgotten. */
  constructor(calls: ScriptCalls, keyOf: (channel: string, name: string) => string, lifetimeMs: number, clock: Clock) {
    this.#calls = calls;
    this.#keyOf = keyOf;
    this.#lifetimeMs = lifetimeMs;
    this.#clock = clock;
  }

  async claim(key: CursorKey): Promise<ClaimedCursor> {
    const answer = await this.#calls.run(CLAIM, [this.#key(key)], [this.#lifetimeMs, this.#clock.now()]);
    const [fence, epoch, offset, sent, attempts] = answer as [number, string?, string?, string?, string?];
    if (epoch === undefined) return { fence };
    return {
      fence,
      cursor: { position: { epoch, offset: Number(offset) }, sent: Number(sent), attempts: Number(attempts) },
    };
  }

  write(writes: readonly CursorWrite[]): Promise<readonly CursorOutcome[]> {
    return Promise.all(
      writes.map(async ({ key, fence, cursor }): Promise<CursorOutcome> => {
        const { position, sent, attempts } = cursor;
        const args = [this.#lifetimeMs, fence, position.epoch, position.offset, sent, attempts];
        return (await this.#calls.run(WRITE, [this.#key(key)], args)) === 1 ? "stored" : "fenced";
      }),
    );
  }

  async forget(key: CursorKey): Promise<void> {
    await this.#calls.run(FORGET, [this.#key(key)], []);
  }

  /** User and name may hold any characters and be long. */
  #key({ channel, user, name }: CursorKey): string {
    return this.#keyOf(
      channel,
      createHash("sha256")
        .update(JSON.stringify([user, name]))
        .digest("base64url"),
    );
  }
}
