/** A token that is fetched when it is needed first, and again when it has expired. */
import { CLIENT_ERRORS } from "@todoku/protocol";
import { asError } from "./errors.ts";

export type TokenSource = string | (() => Promise<string | undefined> | string | undefined);

export class Token {
  readonly #source: TokenSource | undefined;
  /** Whose token it is, for errors. */
  readonly owner: string;
  #fetched: Promise<string | undefined> | undefined;

  constructor(source: TokenSource | undefined, owner: string) {
    this.#source = source;
    this.owner = owner;
  }

  /** Whether another one can be had. */
  get renewable(): boolean {
    return typeof this.#source === "function";
  }

  /** The present token, if it takes one. @throws TodokuError 455 when the application's function fails, or what it threw. */
  async current(): Promise<string | undefined> {
    const source = this.#source;
    if (typeof source !== "function") return source;
    this.#fetched ??= Promise.resolve().then(source);
    try {
      return await this.#fetched;
    } catch (error) {
      this.#fetched = undefined;
      throw asError(error, CLIENT_ERRORS.tokenFailed, `the function that gives ${this.owner} failed`);
    }
  }

  /** The present one is of no use any more. Returns whether another one can be had. */
  renew(): boolean {
    this.#fetched = undefined;
    return this.renewable;
  }
}
