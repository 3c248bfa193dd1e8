/** A namespace at run time: its rules, and the facets that carry and keep its channels' messages. */
import { namespaceOf } from "@todoku/protocol";
import type { Backbone, Bus, Cursors, Delivery, Log, Queue, Redelivery, Retention } from "../backbones/contract.ts";
import type { NamespaceConfig } from "../config.ts";
import type { Archive } from "../storage/archive.ts";
import type { Backoff } from "../units.ts";

export interface Namespace {
  /** `""` for channels without a prefix. */
  readonly name: string;
  readonly rules: NamespaceConfig;
  readonly delivery: Delivery;
  readonly bus: Bus;
  /** Absent: the channels keep nothing and have no positions. Reaches as far back as the storage, where there is one. */
  readonly log?: Log;
  /** Present: what the log keeps is archived. */
  readonly archive?: Archive;
  readonly cursors?: Cursors;
  /** Present: the channels are queues. */
  readonly queue?: NamespaceQueue;
  /** The log's appends reach the bus by themselves. */
  readonly announces: boolean;
  /** The bus hands no frame to a listener twice. */
  readonly once: boolean;
  readonly retention: Retention;
  /** Deduplication window in ms; 0: none. */
  readonly dedupeMs: number;
  /** Largest `data` in UTF-8 bytes. */
  readonly messageBytes: number;
  readonly redelivery: { readonly maxAttempts: number; readonly backoff: Backoff; readonly deadLetters?: string };
}

/** What makes a namespace's channels queues. */
export interface NamespaceQueue {
  readonly jobs: Queue;
  /** Whose queues they are: results that go to the same one can be stored together with the end of a job. */
  readonly backbone: Backbone;
  /** Where the consumer asks for nothing else. */
  readonly leaseMs: number;
  readonly redelivery: Redelivery;
  /** A job that nobody has taken for so long is forgotten. */
  readonly ttlMs?: number;
  /** Jobs may be held back until a time. */
  readonly deliverAt: boolean;
  /** Jobs may have an expiry of their own. */
  readonly ttl: boolean;
  /** Most jobs that one consumer may hold at once. */
  readonly inFlight: number;
  /** Most queues of the namespace whose state the metrics show. */
  readonly sampled: number;
}

/** The namespaces of one configuration. */
export class Namespaces {
  readonly #byName: ReadonlyMap<string, Namespace>;

  constructor(namespaces: Iterable<Namespace>) {
    this.#byName = new Map([...namespaces].map((namespace) => [namespace.name, namespace]));
  }

  /** The namespace that a (valid) channel belongs to, or undefined if it is not configured. */
  of(channel: string): Namespace | undefined {
    return this.#byName.get(namespaceOf(channel));
  }

  [Symbol.iterator](): Iterator<Namespace> {
    return this.#byName.values();
  }
}
