/**
 * The one way in for a message, whoever sends it: a client, the HTTP API, or an application without a gateway.
 */
import { ERRORS, TodokuError, type ClientInfo } from "@todoku/protocol";
import { BackboneError, type Appended, type EnqueueOptions, type Message, type Result } from "../backbones/contract.ts";
import type { Clock } from "../clock.ts";
import type { Namespace, NamespaceQueue } from "./namespace.ts";

export interface PublishOptions {
  /** Idempotency key, 1..128 characters. */
  readonly key?: string;
  /** Milliseconds since the key was first sent; a retry older than the window is refused (401). */
  readonly keyAgeMs?: number;
  readonly tags?: Readonly<Record<string, string>>;
  readonly info?: ClientInfo;
  /** Of a job: it is handed out from then on; ms since 1970. */
  readonly deliverAt?: number;
  /** Of a job: it is forgotten when nobody has taken it for so many ms. */
  readonly ttlMs?: number;
}

/** Where the message is kept; without a position on channels that keep no log, and in queues. */
export interface Published {
  readonly epoch?: string;
  readonly offset?: number;
  readonly duplicate?: boolean;
}

/** What is told about every publish; the metrics listen. */
export interface PublishObserver {
  published(namespace: Namespace, published: Published, ms: number): void;
  failed(namespace: Namespace, error: TodokuError): void;
  /** A job was enqueued, or its consumer came: this process works with the queue. */
  queueUsed(namespace: Namespace, queue: string): void;
  /** A call to a backbone failed, and nothing else did for it. */
  backboneFailed(namespace: Namespace | undefined, operation: string, error: unknown): void;
}

const KEY_LENGTH = 128;

export class Publisher {
  readonly #clock: Clock;
  readonly #observer: PublishObserver;
  readonly #idPrefix: string;
  #count = 0;

  constructor(clock: Clock, observer: PublishObserver) {
    this.#clock = clock;
    this.#observer = observer;
    this.#idPrefix = `${clock.uuid().slice(0, 8)}${clock.now().toString(36)}-`;
  }

  /**
   * Stores (with a log, or as a job in a queue) or hands over (without) one message. `data` is JSON text.
   *
   * @throws TodokuError 107 no key, 108 a time that the queue cannot keep, 400 too large, 401 retry too old, 402 certainly not
   * stored, 403 outcome unknown, 405 storage full.
   */
  async publish(namespace: Namespace, channel: string, data: string, options: PublishOptions = {}): Promise<Published> {
    const begun = this.#clock.now();
    try {
      const published = await this.#store(namespace, channel, data, options, begun);
      this.#observer.published(namespace, published, this.#clock.now() - begun);
      return published;
    } catch (error) {
      const refusal = asRefusal(error);
      this.#observer.failed(namespace, refusal);
      throw refusal;
    }
  }

  /**
   * A message as `publish` would store it, for a backbone that stores it together with the end of a job.
   *
   * @throws TodokuError 107, 108, 400.
   */
  result(namespace: Namespace, channel: string, data: string, options: PublishOptions = {}): Result {
    const now = this.#clock.now();
    const message = this.#message(namespace, data, options, now);
    if (namespace.queue) this.#observer.queueUsed(namespace, channel);
    return namespace.queue
      ? { queue: channel, message, options: jobTimes(namespace.queue, options, now) }
      : { channel, message, options: { retention: namespace.retention } };
  }

  #message(namespace: Namespace, data: string, { key, tags, info }: PublishOptions, now: number): Message {
    // A string of n UTF-16 units has between n and 3n bytes in UTF-8: most messages need no counting.
    if (data.length * 3 > namespace.messageBytes && Buffer.byteLength(data) > namespace.messageBytes) {
      throw new TodokuError(ERRORS.messageTooLarge, `data may have ${namespace.messageBytes} bytes`);
    }
    if (key !== undefined && (key === "" || key.length > KEY_LENGTH)) {
      throw new TodokuError(ERRORS.badRequest, `an idempotency key has 1 to ${KEY_LENGTH} characters`);
    }
    const id = this.#idPrefix + (this.#count++).toString(36);
    // Most messages have neither, and spreading what is not there costs all the same.
    if (!info && !tags) return { id, time: now, data };
    return { id, time: now, data, ...(info && { info }), ...(tags && { tags }) };
  }

  /** Throws what is refused before a backbone is asked; the promise rejects with what a backbone says. */
  #store(
    namespace: Namespace,
    channel: string,
    data: string,
    options: PublishOptions,
    now: number,
  ): Promise<Published> {
    const { key, keyAgeMs = 0 } = options;
    if (key !== undefined && tooOld(namespace, keyAgeMs)) {
      throw new TodokuError(ERRORS.keyExpired, `the window is ${namespace.dedupeMs} ms, the key is ${keyAgeMs} ms old`);
    }
    const message = this.#message(namespace, data, options, now);
    const dedupe = key !== undefined && namespace.dedupeMs > 0 ? { key, windowMs: namespace.dedupeMs } : undefined;
    if (namespace.queue) {
      const times = jobTimes(namespace.queue, options, now);
      this.#observer.queueUsed(namespace, channel);
      return namespace.queue.jobs.enqueue(channel, message, { ...(dedupe && { dedupe }), ...times });
    }
    if (options.deliverAt !== undefined || options.ttlMs !== undefined) {
      throw new TodokuError(ERRORS.notAvailable, "only a queue's jobs can be held back or expire");
    }
    if (!namespace.log) return handOver(namespace, channel, message);
    const { retention } = namespace;
    const appended = namespace.log.append(channel, message, dedupe ? { retention, dedupe } : { retention });
    return namespace.announces ? appended : this.#announce(namespace, channel, message, appended);
  }

  async #announce(
    namespace: Namespace,
    channel: string,
    message: Message,
    appended: Promise<Appended>,
  ): Promise<Published> {
    const { epoch, offset, duplicate } = await appended;
    if (!duplicate) {
      // Only a hint: the message is stored, and the head beacon finds what the bus loses. A bus that fails is told all the same.
      namespace.bus
        .publish(channel, { kind: "message", message, position: { epoch, offset } }, namespace.rules)
        .catch((error: unknown) => this.#observer.backboneFailed(namespace, "announce", error));
    }
    return { epoch, offset, duplicate };
  }
}

/** Without a log. */
async function handOver({ bus, rules }: Namespace, channel: string, message: Message): Promise<Published> {
  await bus.publish(channel, { kind: "message", message }, rules);
  return {};
}

/** @throws TodokuError 108 for a time that the backbone cannot keep. */
function jobTimes(
  queue: NamespaceQueue,
  { deliverAt, ttlMs = queue.ttlMs }: PublishOptions,
  now: number,
): Pick<EnqueueOptions, "deliverAt" | "expiresAt"> {
  if (deliverAt !== undefined && !queue.deliverAt) {
    throw new TodokuError(ERRORS.notAvailable, "this queue cannot hold jobs back until a time");
  }
  if (ttlMs !== undefined && !queue.ttl) throw new TodokuError(ERRORS.notAvailable, "this queue's jobs cannot expire");
  return {
    ...(deliverAt !== undefined && { deliverAt }),
    ...(ttlMs !== undefined && { expiresAt: Math.max(now, deliverAt ?? 0) + ttlMs }),
  };
}

/**
 * Whether a repeat comes too late to be recognised. Without a log no key is remembered and no message may come twice: there
 * every repeat is too late, for the first try may have been delivered.
 */
function tooOld({ log, queue, dedupeMs }: Namespace, keyAgeMs: number): boolean {
  return dedupeMs > 0 ? keyAgeMs >= dedupeMs : !log && !queue && keyAgeMs > 0;
}

/** What a failure is called to whoever asked. */
export function asRefusal(error: unknown): TodokuError {
  if (error instanceof TodokuError) return error;
  if (error instanceof BackboneError) {
    const code = {
      unavailable: ERRORS.backboneUnavailable,
      unknown: ERRORS.outcomeUnknown,
      full: ERRORS.storageFull,
      invalid: ERRORS.internal,
    }[error.reason];
    return new TodokuError(code, undefined, { cause: error });
  }
  return new TodokuError(ERRORS.internal, undefined, { cause: error });
}
