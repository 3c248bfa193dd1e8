/** Publishes under way: each is repeated with the same key until it is answered or given up. */
import { CLIENT_ERRORS, ERRORS, TodokuError, type PublishResult } from "@todoku/protocol";
import type { Backoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import type { Connection } from "./connection.ts";
import { unreachable } from "./errors.ts";

export interface PublishOptions {
  /**
   * Idempotency key, 1 to 128 characters: within the namespace's window a second publish of the same key stores nothing. Give
   * one of your own (an order's id) to make a repeat safe after this process has ended. Default: a random one per call.
   */
  readonly key?: string;
  /** Up to 16 short texts that travel beside the data. */
  readonly tags?: Readonly<Record<string, string>>;
  /** Gives up waiting. It does not call back what was sent already. */
  readonly signal?: AbortSignal;
}

/** Where a message is stored; without epoch and offset on channels that keep no log. */
export interface Published {
  readonly epoch?: string;
  readonly offset?: number;
  /** An earlier publish with this key was stored already: this is its position, and nothing was stored now. */
  readonly duplicate: boolean;
}

export interface PublishingHost {
  readonly clock: Clock;
  readonly backoff: Backoff;
  readonly publishTimeoutMs: number;
  readonly connection: Connection | undefined;
}

/** Most publishes that wait for their answer, or for a connection; further ones are refused. */
export const MOST_PUBLISHES = 1000;
/** Most that are sent and not yet answered. */
const MOST_UNDER_WAY = 128;
/** The pause after the server's rate was exceeded is that before this retry. */
const PAUSE_TRY = 2;

interface Waiting {
  readonly channel: string;
  /** JSON text of the request but its end, where the key's age comes. */
  readonly request: string;
  readonly settle: (error: TodokuError | undefined, published?: Published) => void;
  /** `ready`: to be sent; `sent`: the answer is awaited; `resting`: a timer makes it ready. */
  state: "ready" | "sent" | "resting";
  sentAt: number;
  /** When the first try was sent whose outcome is unknown. */
  unsureSince: number | undefined;
  tries: number;
  error: TodokuError | undefined;
  cancelRest: (() => void) | undefined;
}

export class Publishing {
  readonly #host: PublishingHost;
  /** In the order of the calls. */
  readonly #waiting = new Set<Waiting>();
  #underWay = 0;
  /** How many may be under way: fewer after the server's rate was exceeded. */
  #window = MOST_UNDER_WAY;
  #cancelPause: (() => void) | undefined;
  #whenIdle: (() => void)[] = [];

  constructor(host: PublishingHost) {
    this.#host = host;
  }

  publish(channel: string, data: unknown, { key = randomKey(), tags, signal }: PublishOptions): Promise<Published> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) throw new TodokuError(CLIENT_ERRORS.aborted, undefined, { cause: signal.reason });
      if (this.#waiting.size >= MOST_PUBLISHES) {
        const advice = "await them before you publish more";
        throw new TodokuError(ERRORS.limitExceeded, `${MOST_PUBLISHES} publishes are under way already; ${advice}`);
      }
      const waiting: Waiting = {
        channel,
        request: requestText(channel, data, key, tags),
        settle: (error, published) => {
          this.#release(waiting);
          cancelTimeout();
          signal?.removeEventListener("abort", abort);
          if (published) resolve(published);
          else reject(error);
        },
        state: "ready",
        sentAt: 0,
        unsureSince: undefined,
        tries: 0,
        error: undefined,
        cancelRest: undefined,
      };
      const abort = (): void =>
        this.#giveUp(waiting, new TodokuError(CLIENT_ERRORS.aborted, undefined, { cause: signal?.reason }));
      const { clock, publishTimeoutMs } = this.#host;
      const cancelTimeout = clock.after(publishTimeoutMs, () => {
        this.#giveUp(waiting, waiting.error ?? unreachable(`not published to ${channel} in ${publishTimeoutMs} ms`));
      });
      signal?.addEventListener("abort", abort);
      this.#waiting.add(waiting);
      this.pump();
    });
  }

  /** Sends what may be sent, in the order of the calls. */
  pump(): void {
    const { connection } = this.#host;
    if (!connection || this.#cancelPause) return;
    for (const waiting of this.#waiting) {
      if (this.#underWay >= this.#window) return;
      if (waiting.state === "ready") this.#send(connection, waiting);
    }
  }

  /** Resolves when nothing waits. */
  idle(): Promise<void> {
    return this.#waiting.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#whenIdle.push(resolve));
  }

  /** Gives everything up. */
  close(error: TodokuError): void {
    for (const waiting of this.#waiting) this.#giveUp(waiting, error);
    this.#cancelPause?.();
  }

  #send(connection: Connection, waiting: Waiting): void {
    const { clock } = this.#host;
    waiting.state = "sent";
    waiting.sentAt = clock.now();
    this.#underWay++;
    const { unsureSince } = waiting;
    // Tries that certainly failed do not count: only an unanswered one may have been stored.
    const age = unsureSince === undefined ? "" : `,"key_age":${Math.max(1, Math.round(waiting.sentAt - unsureSince))}`;
    connection.askText("publish", `${waiting.request}${age}}`, (error, result) => {
      if (waiting.state !== "sent") return;
      waiting.state = "ready";
      this.#underWay--;
      if (error) {
        this.#failed(connection, waiting, error);
      } else {
        this.#window = Math.min(MOST_UNDER_WAY, this.#window + 1);
        waiting.settle(undefined, publishedOf(result));
      }
      this.pump();
    });
  }

  #failed(connection: Connection, waiting: Waiting, error: TodokuError): void {
    waiting.error = error;
    if (leavesUnsure(error)) waiting.unsureSince ??= waiting.sentAt;
    if (error.retry !== "retry") return this.#giveUp(waiting, error);
    // Lost with its connection: the next one sends it again.
    if (connection !== this.#host.connection) return;
    if (error.code === ERRORS.tooManyRequests.code) return this.#slowDown();
    const delay = this.#host.backoff.jittered(waiting.tries++);
    waiting.state = "resting";
    waiting.cancelRest = this.#host.clock.after(delay, () => {
      waiting.state = "ready";
      this.pump();
    });
  }

  /** All publishes share one rate: when one was too much, so are those behind it. */
  #slowDown(): void {
    if (this.#cancelPause) return;
    this.#window = Math.max(1, Math.floor(this.#window / 2));
    this.#cancelPause = this.#host.clock.after(this.#host.backoff.jittered(PAUSE_TRY), () => {
      this.#cancelPause = undefined;
      this.pump();
    });
  }

  /** Rejects, saying whether the message may be stored all the same. */
  #giveUp(waiting: Waiting, error: TodokuError): void {
    const unsure = waiting.unsureSince !== undefined || waiting.state === "sent";
    waiting.settle(
      unsure && error.code !== ERRORS.outcomeUnknown.code
        ? new TodokuError(ERRORS.outcomeUnknown, `publish to ${waiting.channel} (${error.message})`, { cause: error })
        : error,
    );
  }

  #release(waiting: Waiting): void {
    if (waiting.state === "sent") this.#underWay--;
    waiting.state = "resting";
    waiting.cancelRest?.();
    this.#waiting.delete(waiting);
    if (this.#waiting.size === 0) for (const idle of this.#whenIdle.splice(0)) idle();
  }
}

/** Whether the message may have been stored although this came back. */
function leavesUnsure({ code }: TodokuError): boolean {
  return (
    code === ERRORS.internal.code || code === ERRORS.outcomeUnknown.code || code === CLIENT_ERRORS.unreachable.code
  );
}

/** Text, and made now: a repeat says the same even if the application has changed its object meanwhile. */
function requestText(channel: string, data: unknown, key: string, tags: PublishOptions["tags"]): string {
  const text = JSON.stringify(data) as string | undefined;
  if (text === undefined) throw new TodokuError(ERRORS.badRequest, `data for ${channel} is nothing that JSON can hold`);
  const rest = JSON.stringify({ channel, key, tags });
  return `{"data":${text},${rest.slice(1, -1)}`;
}

function publishedOf({ epoch, offset, duplicate = false }: PublishResult): Published {
  return { duplicate, ...(epoch !== undefined && { epoch }), ...(offset !== undefined && { offset }) };
}

/** 128 random bits. Not `randomUUID`: browsers have that on secure pages only. */
function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
