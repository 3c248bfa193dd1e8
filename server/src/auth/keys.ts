/** The keys of the HTTP API, compared in constant time. */
import { timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

/** In front of a key's bytes: how many they are. */
const LENGTH_BYTES = 4;

export class ApiKeys {
  readonly #keys: readonly { readonly id: string; readonly padded: Buffer }[];
  /** The key of the present request, as the others are. */
  readonly #given: Buffer;

  constructor(keys: readonly { readonly id: string; readonly key: string }[]) {
    const size = LENGTH_BYTES + Math.max(0, ...keys.map(({ key }) => Buffer.byteLength(key)));
    this.#keys = keys.map(({ id, key }) => ({ id, padded: padded(key, Buffer.alloc(size)) }));
    this.#given = Buffer.alloc(size);
  }

  get size(): number {
    return this.#keys.length;
  }

  /** The id of the key that a request comes with; undefined for none or a wrong one. */
  identify(headers: IncomingHttpHeaders): string | undefined {
    const given = keyIn(headers);
    if (given === undefined) return undefined;
    padded(given, this.#given);
    // All are compared, each to its end, so that the time says nothing about which came near.
    const matching = this.#keys.filter((key) => timingSafeEqual(key.padded, this.#given));
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

/** Fills `room` with a key's length and its bytes; of one that is longer than all others the end is left out, but not the length. */
function padded(key: string, room: Buffer): Buffer {
  room.fill(0);
  room.writeUInt32LE(Buffer.byteLength(key));
  room.write(key, LENGTH_BYTES);
  return room;
}
