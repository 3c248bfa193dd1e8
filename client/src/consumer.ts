/** What an application sees of a queue that it consumes from. */
import type { ClientInfo, Json, TodokuError } from "@todoku/protocol";
import type { TokenSource } from "./token.ts";

/** A message of a queue, in the hands of this client until its lease ends. The lease is renewed while the handler runs. */
export interface Job<Data = Json> {
  readonly queue: string;
  /** The job's own name: the same on every attempt. */
  readonly id: string;
  /** Milliseconds since 1970 at which it was accepted. */
  readonly time: number;
  readonly data: Data;
  /** 1 on the first. */
  readonly attempt: number;
  readonly tags?: Readonly<Record<string, string>>;
  readonly info?: ClientInfo;
  /** Aborted when the lease is lost: somebody else may have the job now, and this client can no longer complete it. */
  readonly signal: AbortSignal;
  /**
   * Publishes a result together with the end of the job: stored once, however often the job is attempted. It is sent when the
   * handler has finished, and not if that fails.
   */
  result(channel: string, data: Json, options?: { readonly tags?: Readonly<Record<string, string>> }): void;
}

export type JobHandler<Data> = (job: Job<Data>) => unknown;

export interface ConsumeOptions {
  /** Every job comes to every group, and in it to one consumer. Default `default`. */
  readonly group?: string;
  /** Most jobs handled at once. Default 1. */
  readonly concurrency?: number;
  /** How long a job is leased, in milliseconds; a crashed worker's jobs wait so long at most. Default: what the server says. */
  readonly leaseMs?: number;
  /** A subscription token for the queue. */
  readonly token?: TokenSource;
}

export interface ConsumerEvents {
  /** A handler failed (453), a job's lease was lost (406), or the server refused a result. Warns on the console if nobody listens. */
  error: TodokuError;
}

export interface CloseConsumer {
  /** Running handlers are told to stop and their jobs given back; else they are waited for. */
  readonly giveBack?: boolean;
}

/**
 * A consumer of a queue. Without a handler it is iterated: the previous job counts as done when the next one is asked for, and
 * as failed when the loop is left by `break` or an error.
 */
export interface Consumer<Data = Json> extends AsyncIterable<Job<Data>> {
  readonly queue: string;
  readonly group: string;
  /** Resolves when jobs may come. Rejects with a TodokuError when the server says no for good: 103, 108, … */
  readonly ready: Promise<void>;
  /** The returned function removes the listener. */
  on<Name extends keyof ConsumerEvents>(name: Name, listener: (payload: ConsumerEvents[Name]) => void): () => void;
  /** Takes no further jobs. Resolves when those in hand are done or given back, and the server knows. */
  close(options?: CloseConsumer): Promise<void>;
}
