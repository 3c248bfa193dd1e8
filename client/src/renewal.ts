/** Gives the server a new token before the last one ends, again and again. */
import { CLIENT_ERRORS, type TodokuError } from "@todoku/protocol";
import type { Backoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import { asError } from "./errors.ts";
import type { Token } from "./token.ts";

export interface RenewalOptions {
  readonly clock: Clock;
  readonly backoff: Backoff;
  readonly token: Token;
  /** Hands the server a token; resolves with how many seconds it lives, or rejects. */
  readonly send: (token: string) => Promise<{ ttl?: number }>;
  /** It is tried again; what the server does when the token ends is its own business. */
  readonly failed: (error: TodokuError) => void;
}

/** The part of a token's life after which it is renewed, in milliseconds of each second. */
const USED_MS = 900;

export class Renewal {
  readonly #options: RenewalOptions;
  #cancel: (() => void) | undefined;
  /** Counts starts and stops, so that an answer that comes too late changes nothing. */
  #life = 0;

  constructor(options: RenewalOptions) {
    this.#options = options;
  }

  /** The server told that the present token ends in `ttl` seconds; undefined: it does not end. */
  begin(ttl: number | undefined): void {
    this.stop();
    // Without a token the end was set by the application's hook, which a new connection or subscription asks again.
    if (ttl !== undefined && this.#options.token.renewable) this.#after(ttl * USED_MS, 0);
  }

  stop(): void {
    this.#life++;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #after(ms: number, tries: number): void {
    this.#cancel = this.#options.clock.after(ms, () => void this.#renew(tries));
  }

  async #renew(tries: number): Promise<void> {
    const { token, send, failed, backoff } = this.#options;
    const life = this.#life;
    token.renew();
    try {
      const text = await token.current();
      if (life !== this.#life || text === undefined) return;
      const { ttl } = await send(text);
      if (life === this.#life) this.begin(ttl);
    } catch (error) {
      if (life !== this.#life) return;
      failed(asError(error, CLIENT_ERRORS.tokenFailed, token.owner));
      this.#after(backoff.delay(tries), tries + 1);
    }
  }
}
