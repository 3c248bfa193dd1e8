/** Publishing and working straight on the backbone, with no gateway between: for an API server or workers beside the gateways. */
import { ERRORS, TodokuError, type Json } from "@todoku/protocol";
import { systemClock } from "./clock.ts";
import type { ConfigInput } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import { parseConfig } from "./config-file.ts";
import { silentObserver } from "./gateway/observer.ts";
import type { Published } from "./namespaces/publisher.ts";
import { Platform } from "./platform.ts";
import { Dispatchers } from "./queues/dispatchers.ts";
import { QueueWorker, type Job, type Worker, type WorkerHost, type WorkerOptions } from "./queues/worker.ts";
import { namespaceOf, publishTo, type ChannelMap, type PublishOptions } from "./typed-publish.ts";

export { BackboneError } from "./backbones/contract.ts";
export { ConfigError };
export { ERRORS, TodokuError } from "@todoku/protocol";
export type { ChannelMap, ConfigInput, Job, Published, PublishOptions, Worker, WorkerOptions };

export interface BackbonePublisher<Channels extends ChannelMap> {
  /**
   * As `EmbeddedTodoku.publish`.
   *
   * @throws TodokuError 102 unknown channel, 400 too large, 402 certainly not stored, 403 outcome unknown, 405 storage full.
   */
  publish<C extends keyof Channels & string>(
    channel: C,
    data: Channels[C],
    options?: PublishOptions,
  ): Promise<Published>;
  /**
   * Works on a queue with no gateway between: each job is leased to one worker of its group, is done when the handler has
   * finished, and comes again after a growing delay when it failed. Without a handler the worker is iterated:
   * `for await (const job of publisher.consume("jobs:resize", {}))`. The namespace's access rules are for clients, not for this.
   *
   * @throws TodokuError 102 unknown channel, 107 no channel name, 108 no queue.
   */
  consume<C extends keyof Channels & string>(
    queue: C,
    options: WorkerOptions,
    handler?: (job: Job<Channels[C]>) => unknown,
  ): Worker<Channels[C]>;
  /** Ends workers as their `close` does, and lets go of the backbones. */
  close(): Promise<void>;
}

/**
 * Opens the backbones of a configuration for publishing, under the same namespaces and rules as the gateways.
 *
 * A backbone that belongs to one process (`embedded`) cannot be opened while a gateway has it.
 *
 * @throws ConfigError, also for a backbone that no other process can see (`memory`); BackboneError.
 */
export async function createPublisher<Channels extends ChannelMap = Record<string, Json>>(
  config: ConfigInput,
): Promise<BackbonePublisher<Channels>> {
  const platform = await Platform.open(parseConfig(config), systemClock, silentObserver);
  const unseen = [...platform.backbones].filter(
    ([, { capabilities }]) => !capabilities.shared && !capabilities.durable,
  );
  if (unseen.length > 0) {
    await platform.close();
    throw new ConfigError(
      unseen.map(
        ([name, { type }]) =>
          `what is published to backbones.${name} (${type}) reaches nobody outside of this process. ` +
          "Publish with createTodoku in the gateway's process, or over its HTTP API, or set a backbone that is shared",
      ),
    );
  }
  const workers = new Set<Worker>();
  const host: WorkerHost = {
    clock: systemClock,
    publisher: platform.publisher,
    // Each call that failed is made again; a worker hears of what concerns its jobs.
    dispatchers: new Dispatchers(systemClock, (_, operation, error) => {
      process.emitWarning(`${operation}: ${error instanceof Error ? error.message : String(error)}`);
    }),
    namespaceOf: (channel) => namespaceOf(platform, channel),
  };
  return {
    publish: (channel, data, options) => publishTo(platform, channel, data, options),
    consume: (queue, options, handler) => {
      const { group = "default", leaseMs } = options;
      const namespace = namespaceOf(platform, queue);
      const rules = namespace.queue;
      if (!rules) throw new TodokuError(ERRORS.notAvailable, `${queue} is no queue`);
      const consumption = { namespace, rules, queue, group, leaseMs: leaseMs ?? rules.leaseMs };
      const worker = new QueueWorker(host, consumption, options, handler);
      workers.add(worker);
      return worker;
    },
    close: async () => {
      await Promise.all([...workers].map((worker) => worker.close()));
      await platform.close();
    },
  };
}
