/** A namespace at run time: its rules, and the facets that carry and keep its channels' messages. */
import { namespaceOf } from "@todoku/protocol";
import type { Bus, Cursors, Delivery, Log, Retention } from "../backbones/contract.ts";
import type { NamespaceConfig } from "../config.ts";
import type { Backoff } from "../units.ts";

export interface Namespace {
  /** `""` for channels without a prefix. */
  readonly name: string;
  readonly rules: NamespaceConfig;
  readonly delivery: Delivery;
  readonly bus: Bus;
  /** Absent: the channels keep nothing and have no positions. */
  readonly log?: Log;
  readonly cursors?: Cursors;
  /** The log's appends reach the bus by themselves. */
  readonly announces: boolean;
  readonly retention: Retention;
  /** Deduplication window in ms; 0: none. */
  readonly dedupeMs: number;
  /** Largest `data` in UTF-8 bytes. */
  readonly messageBytes: number;
  readonly redelivery: { readonly maxAttempts: number; readonly backoff: Backoff; readonly deadLetters?: string };
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
