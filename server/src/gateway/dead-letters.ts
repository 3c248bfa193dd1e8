/** Where a given-up message goes, and what it looks like there. */
import { createHash } from "node:crypto";
import type { PublishOptions } from "../namespaces/publisher.ts";
import type { GatewayContext } from "./context.ts";
import type { SharedPublication } from "./shared-publication.ts";
import type { Subscription } from "./subscription.ts";

/** Rejects if it could not be stored. */
export async function storeDeadLetter(
  { namespaces, publisher, observer }: Pick<GatewayContext, "namespaces" | "publisher" | "observer">,
  subscription: Subscription,
  publication: SharedPublication,
  attempts: number,
): Promise<void> {
  const { namespace, channel } = subscription.feed;
  const target = namespace.redelivery.deadLetters;
  const into = target === undefined ? undefined : namespaces.of(target);
  if (target === undefined || into === undefined) throw new Error(`no namespace for the dead letters of ${channel}`);
  await publisher.publish(into, target, publication.message.data, asDeadLetter(subscription, publication, attempts));
  observer.deadLettered(namespace);
}

/**
 * The message's own data, with tags that say where it came from and who gave up. The key is derived from both, so that
 * giving up twice stores one dead letter.
 */
function asDeadLetter(subscription: Subscription, publication: SharedPublication, attempts: number): PublishOptions {
  const { channel, options } = subscription;
  const subscriber = options.durable?.key.name ?? options.info.client;
  const epoch = subscription.position?.epoch ?? "";
  const place = `${channel} ${epoch} ${publication.offset}`;
  return {
    key: `dead ${digest([place, publication.message.id, options.info.user, subscriber])}`,
    tags: {
      ...publication.message.tags,
      dead_letter_of: place,
      dead_letter_subscriber: subscriber,
      dead_letter_user: options.info.user,
      dead_letter_attempts: String(attempts),
    },
    ...(publication.message.info && { info: publication.message.info }),
  };
}

/** Names may be long, and a key has at most 128 characters. */
function digest(parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}
