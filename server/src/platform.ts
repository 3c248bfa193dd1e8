/** Backbones, namespaces and the way in for messages, put together: what a gateway and a bare publisher both need. */
import type { Backbone, Bus, Facet, NamespaceUse } from "./backbones/contract.ts";
import { backboneProblems, BACKBONE_TYPES, createBackbone, type BackboneSettings } from "./backbones/registry.ts";
import { RemoteBackbone } from "./backbones/remote/remote.ts";
import type { Clock } from "./clock.ts";
import type { Config } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import { Namespaces } from "./namespaces/namespace.ts";
import { openNamespaces } from "./namespaces/open.ts";
import { Publisher, type PublishObserver } from "./namespaces/publisher.ts";
import type { ArchivePlace } from "./storage/archive.ts";
import type { Storage } from "./storage/contract.ts";
import { createStorage } from "./storage/registry.ts";

/** The stores that another process of this machine owns: the paths of their sockets, by the backbones' names. */
export type OwnedElsewhere = Readonly<Record<string, string>>;

export class Platform {
  readonly backbones: ReadonlyMap<string, Backbone>;
  readonly namespaces: Namespaces;
  readonly publisher: Publisher;
  readonly #storages: readonly Storage[];
  readonly #elsewhere: OwnedElsewhere;

  private constructor(
    backbones: ReadonlyMap<string, Backbone>,
    storages: readonly Storage[],
    namespaces: Namespaces,
    publisher: Publisher,
    elsewhere: OwnedElsewhere,
  ) {
    this.backbones = backbones;
    this.#storages = storages;
    this.namespaces = namespaces;
    this.publisher = publisher;
    this.#elsewhere = elsewhere;
  }

  /**
   * Checks settings and promises first, then opens the backbones that some namespace uses.
   *
   * @throws ConfigError for settings that contradict each other or a promise that cannot be kept, BackboneError for a backbone
   * that cannot be opened.
   */
  static async open(
    config: Config,
    clock: Clock,
    observer: PublishObserver,
    elsewhere: OwnedElsewhere = {},
  ): Promise<Platform> {
    const problems = Object.entries(config.backbones).flatMap(([name, settings]) => backboneProblems(name, settings));
    if (problems.length > 0) throw new ConfigError(problems);
    const made = await Promise.all(
      Object.entries(config.backbones).map(
        async ([name, settings]) => [name, await makeBackbone(name, settings, clock, elsewhere[name])] as const,
      ),
    );
    const places = await makeStorages(config, clock);
    const namespaces = openNamespaces(config, new Map(made), places);
    const used = new Map(made.filter(([name]) => usesBackbone(config, name)));
    const storages = [...places.values()].map(({ storage }) => storage);
    const opened: { close(): Promise<void> }[] = [];
    try {
      for (const backbone of used.values()) {
        await backbone.open(usesOf(backbone, namespaces));
        opened.push(backbone);
      }
      for (const storage of storages) {
        await storage.open();
        opened.push(storage);
      }
    } catch (error) {
      await Promise.allSettled(opened.map((one) => one.close()));
      throw error;
    }
    return new Platform(used, storages, namespaces, new Publisher(clock, observer), elsewhere);
  }

  /**
   * A bus on which gateways of several processes meet: that of the first backbone that is shared, and rather one that other
   * machines share than one of this machine's processes.
   */
  get sharedBus(): Bus | undefined {
    const shared = [...this.backbones].filter(([, { capabilities, bus }]) => capabilities.shared && bus);
    const [, backbone] = shared.find(([name]) => this.#elsewhere[name] === undefined) ?? shared[0] ?? [];
    return backbone?.bus;
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.backbones.values(), ...this.#storages].map((one) => one.close()));
  }
}

/** What the namespaces will ask of a backbone. */
function usesOf(backbone: Backbone, namespaces: Namespaces): readonly NamespaceUse[] {
  return [...namespaces].flatMap(({ name, bus, log, cursors, queue, retention }) => {
    const facets: Facet[] = [];
    if (bus === backbone.bus) facets.push("bus");
    if (log !== undefined && log === backbone.log) facets.push("log");
    if (cursors !== undefined && cursors === backbone.cursors) facets.push("cursors");
    if (queue?.backbone === backbone) facets.push("queue");
    return facets.length > 0 ? [{ namespace: name, facets, retention }] : [];
  });
}

function makeBackbone(
  name: string,
  settings: BackboneSettings,
  clock: Clock,
  socket: string | undefined,
): Promise<Backbone> | Backbone {
  if (socket === undefined) return createBackbone(name, settings, clock);
  return new RemoteBackbone(name, { type: settings.type, ...BACKBONE_TYPES[settings.type] }, socket, clock);
}

/** Those that some namespace names. */
async function makeStorages({ storage, namespaces }: Config, clock: Clock): Promise<ReadonlyMap<string, ArchivePlace>> {
  const named = new Set(Object.values(namespaces).map((rules) => rules.storage));
  const made = new Map<string, ArchivePlace>();
  for (const [name, settings] of Object.entries(storage)) {
    if (!named.has(name)) continue;
    const { keep } = settings;
    made.set(name, {
      storage: await createStorage(name, settings, clock),
      clock,
      ...(keep !== undefined && { keepMs: keep }),
    });
  }
  return made;
}

/** Some namespace is carried by it. */
export function usesBackbone({ namespaces }: Config, name: string): boolean {
  return Object.values(namespaces).some(({ backbone, bus, log, cursors, queue }) =>
    [backbone, bus, log, cursors, queue?.backbone].includes(name),
  );
}
