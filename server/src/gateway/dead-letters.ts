/** What a given-up message looks like among the dead letters. */
import type { PublishOptions } from "../namespaces/publisher.ts";
import type { SharedPublication } from "./shared-publication.ts";
import type { Subscription } from "./subscription.ts";

/**
 * The message's own data, with tags that say where it came from and who gave up. The key is derived from both, so that
 * giving up twice stores one dead letter.
 */
export function asDeadLetter(
  subscription: Subscription,
  publication: SharedPublication,
  attempts: number,
): PublishOptions {
  const { channel, options } = subscription;
  const subscriber = options.durable?.key.name ?? options.info.client;
  const epoch = subscription.position?.epoch ?? "";
  const place = `${channel} ${epoch} ${publication.offset}`;
  return {
    key: `dead ${publication.message.id} ${options.info.user} ${subscriber}`.slice(0, 128),
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
