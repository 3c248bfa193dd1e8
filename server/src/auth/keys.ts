/** The keys of the HTTP API, compared in constant time. */
import { hash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

export class ApiKeys {
  readonly #keys: readonly { readonly id: string; readonly digest: Buffer }[];

  constructor(keys: readonly { readonly id: string; readonly key: string }[]) {
    this.#keys = keys.map(({ id, key }) => ({ id, digest: digestOf(key) }));
  }

  get size(): number {
    return this.#keys.length;
  }

  /** The id of the key that a request comes with; undefined for none or a wrong one. */
  identify(headers: IncomingHttpHeaders): string | undefined {
    const given = keyIn(headers);
    if (given === undefined) return undefined;
    const digest = digestOf(given);
    // All are compared, so that the time says nothing about which came near.
    const matching = this.#keys.filter((key) => timingSafeEqual(key.digest, digest));
    return matching[0]?.id;
  }
}

/** `X-API-Key: KEY` or `Authorization: apikey KEY`. */
function keyIn(headers: IncomingHttpHeaders): string | undefined {
  const header = headers["x-api-key"];
  if (typeof header === "string") return header;
  const [scheme, key] = (headers.authorization ?? "").split(" ");
  return scheme?.toLowerCase() === "apikey" ? key : undefined;
}

function digestOf(key: string): Buffer {
  return hash("sha256", key, "buffer");
}
