/** Publishing straight to the backbone, with no gateway between: for an API server beside the gateways. */
import type { Json } from "@todoku/protocol";
import { systemClock } from "./clock.ts";
import type { ConfigInput } from "./config.ts";
import { parseConfig } from "./config-file.ts";
import { silentObserver } from "./gateway/observer.ts";
import { publishTo, type ChannelMap, type PublishOptions } from "./index.ts";
import type { Published } from "./namespaces/publisher.ts";
import { Platform } from "./platform.ts";

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
 * @throws ConfigError, BackboneError.
 */
export async function createPublisher<Channels extends ChannelMap = Record<string, Json>>(
  config: ConfigInput,
): Promise<BackbonePublisher<Channels>> {
  const platform = await Platform.open(parseConfig(config), systemClock, silentObserver);
  return {
    publish: (channel, data, options) => publishTo(platform, channel, data, options),
    close: () => platform.close(),
  };
}
