/** The keys behind a JWKS URL: fetched when they are needed, kept, and fetched again when they are old or one is missing. */
import { createLocalJWKSet, errors, type JWTVerifyGetKey } from "jose";
import { z } from "zod";
import type { Clock } from "../clock.ts";

/** Keys are fetched again once they are so old. */
const FRESH_MS = 600_000;
/** While they cannot be fetched, they are used for so long. */
const STALE_MS = 86_400_000;
/** A token with a key that is not known fetches the keys again, but not more often than this. */
const COOLDOWN_MS = 30_000;
const TIMEOUT_MS = 5000;
const MOST_BYTES = 1024 * 1024;

const keySet = z.object({ keys: z.array(z.looseObject({ kty: z.string() })) });

/** The keys cannot be had for now: whether a token is genuine cannot be said. */
export class KeysUnavailable extends Error {
  override readonly name = "KeysUnavailable";
}

interface Kept {
  readonly find: ReturnType<typeof createLocalJWKSet>;
  readonly at: number;
}

export class KeySet {
  readonly #url: URL;
  readonly #clock: Clock;
  #kept: Kept | undefined;
  #fetching: Promise<Kept> | undefined;
  /** When a fetch was last begun. */
  #tried = Number.NEGATIVE_INFINITY;

  constructor(url: string, clock: Clock) {
    this.#url = new URL(url);
    this.#clock = clock;
  }

  /**
   * The key that a token's header names.
   *
   * @throws KeysUnavailable, or an error of `jose` for a key that is not in the set.
   */
  readonly find: JWTVerifyGetKey = async (header, token) => {
    const kept = await this.#current();
    try {
      return await kept.find(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      // It may be younger than what is kept.
      if (kept.at >= this.#clock.now()) throw error;
      if (this.#cooling()) throw new KeysUnavailable("a key that is not known, soon after the keys were fetched");
      return (await this.#fetch()).find(header, token);
    }
  };

  async #current(): Promise<Kept> {
    const kept = this.#kept;
    const age = kept ? this.#clock.now() - kept.at : Number.POSITIVE_INFINITY;
    if (kept && age < FRESH_MS) return kept;
    if (kept && this.#cooling() && age < STALE_MS) return kept;
    try {
      return await this.#fetch();
    } catch (error) {
      if (kept && age < STALE_MS) return kept;
      throw error;
    }
  }

  #cooling(): boolean {
    return this.#clock.now() - this.#tried < COOLDOWN_MS;
  }

  /** One fetch at a time, whoever asks. */
  #fetch(): Promise<Kept> {
    this.#fetching ??= this.#get().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #get(): Promise<Kept> {
    this.#tried = this.#clock.now();
    const abort = new AbortController();
    const cancel = this.#clock.after(TIMEOUT_MS, () => abort.abort());
    try {
      const response = await fetch(this.#url, {
        headers: { accept: "application/json" },
        redirect: "error",
        signal: abort.signal,
      });
      if (!response.ok) throw new Error(`it answers ${response.status}`);
      const found = keySet.parse(JSON.parse(await textOf(response)));
      const kept = { find: createLocalJWKSet(found), at: this.#clock.now() };
      this.#kept = kept;
      return kept;
    } catch (error) {
      throw new KeysUnavailable(`cannot fetch the keys from ${this.#url.origin}${this.#url.pathname}`, {
        cause: error,
      });
    } finally {
      cancel();
    }
  }
}

async function textOf(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MOST_BYTES) throw new Error(`it has more than ${MOST_BYTES} bytes`);
  }
  return text + decoder.decode();
}
