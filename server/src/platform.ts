/** Backbones, namespaces and the way in for messages, put together: what a gateway and a bare publisher both need. */
import type { Backbone, Bus } from "./backbones/contract.ts";
import { backboneProblems, createBackbone } from "./backbones/registry.ts";
import type { Clock } from "./clock.ts";
import type { Config } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import { Namespaces } from "./namespaces/namespace.ts";
import { openNamespaces } from "./namespaces/open.ts";
import { Publisher, type PublishObserver } from "./namespaces/publisher.ts";

export class Platform {
  readonly backbones: ReadonlyMap<string, Backbone>;
  readonly namespaces: Namespaces;
  readonly publisher: Publisher;

  private constructor(backbones: ReadonlyMap<string, Backbone>, namespaces: Namespaces, publisher: Publisher) {
    this.backbones = backbones;
    this.namespaces = namespaces;
    this.publisher = publisher;
  }

  /**
   * Checks settings and promises first, then opens the backbones that some namespace uses.
   *
   * @throws ConfigError for settings that contradict each other or a promise that cannot be kept, BackboneError for a backbone
   * that cannot be opened.
   */
  static async open(config: Config, clock: Clock, observer: PublishObserver): Promise<Platform> {
    const problems = Object.entries(config.backbones).flatMap(([name, settings]) => backboneProblems(name, settings));
    if (problems.length > 0) throw new ConfigError(problems);
    const made = await Promise.all(
      Object.entries(config.backbones).map(
        async ([name, settings]) => [name, await createBackbone(name, settings, clock)] as const,
      ),
    );
    const namespaces = openNamespaces(config, new Map(made));
    const used = new Map(made.filter(([name]) => uses(config, name)));
    const opened: Backbone[] = [];
    try {
      for (const backbone of used.values()) {
        await backbone.open();
        opened.push(backbone);
      }
    } catch (error) {
      await Promise.allSettled(opened.map((backbone) => backbone.close()));
      throw error;
    }
    return new Platform(used, namespaces, new Publisher(clock, observer));
  }

  /** A bus on which gateways of several processes meet: that of the first backbone that is shared. */
  get sharedBus(): Bus | undefined {
    return [...this.backbones.values()].find(({ capabilities, bus }) => capabilities.shared && bus)?.bus;
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.backbones.values()].map((backbone) => backbone.close()));
  }
}

function uses({ namespaces }: Config, name: string): boolean {
  return Object.values(namespaces).some(({ backbone, bus, log, cursors, queue }) =>
    [backbone, bus, log, cursors, queue?.backbone].includes(name),
  );
}
