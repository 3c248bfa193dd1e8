/** Publishing straight to the backbone, with no gateway between: for an API server beside the gateways. */
import type { Json } from "@todoku/protocol";
import { systemClock } from "./clock.ts";
import type { ConfigInput } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import { parseConfig } from "./config-file.ts";
import { silentObserver } from "./gateway/observer.ts";
import type { Published } from "./namespaces/publisher.ts";
import { Platform } from "./platform.ts";
import { publishTo, type ChannelMap, type PublishOptions } from "./typed-publish.ts";

export { BackboneError } from "./backbones/contract.ts";
export { ConfigError };
export { ERRORS, TodokuError } from "@todoku/protocol";
export type { ChannelMap, ConfigInput, Published, PublishOptions };

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
  return {
    publish: (channel, data, options) => publishTo(platform, channel, data, options),
    close: () => platform.close(),
  };
}
