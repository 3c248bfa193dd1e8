/** An entry of its own (`@todoku/client/queue`): who only subscribes and publishes need not ship it. */
import type { Json } from "@todoku/protocol";
import type { ConsumeOptions, Consumer, JobHandler } from "./consumer.ts";
import type { PartClient } from "./part.ts";
import { QueueConsumer } from "./queue-consumer.ts";

export type { CloseConsumer, ConsumeOptions, Consumer, ConsumerEvents, Job, JobHandler } from "./consumer.ts";

/**
 * Consumes from a queue: each job is leased to one consumer of its group, is done when the handler has finished, and comes
 * again after a growing delay when it failed. Leases are renewed while handlers run. Without a handler the consumer is
 * iterated: `for await (const job of consume(client, "jobs:resize"))`.
 *
 * ```ts
 * const worker = consume(client, "jobs:resize", { group: "resizers", concurrency: 8 }, async (job) => resize(job.data));
 * ```
 *
 * A client consumes each queue and group once: a second consumer's `ready` rejects with 105.
 *
 * @throws TodokuError 451 when the client is closed.
 */
export function consume<Data = Json>(
  client: PartClient,
  queue: string,
  options: ConsumeOptions = {},
  handler?: JobHandler<Data>,
): Consumer<Data> {
  return client.attach((host) => new QueueConsumer<Data>(host, queue, handler, options));
}
