/** Puts the namespaces together from the configuration, and refuses every promise that cannot be kept. */
import { DELIVERIES, type Backbone, type Delivery, type Facet } from "../backbones/contract.ts";
import { BACKBONE_TYPES } from "../backbones/registry.ts";
import type { Config, NamespaceConfig } from "../config.ts";
import { ConfigError } from "../config-error.ts";
import { formatDuration } from "../units.ts";
import { Namespaces, type Namespace } from "./namespace.ts";

const DAY_MS = 86_400_000;
const DEFAULT_RETENTION = { ageMs: 7 * DAY_MS, messages: 10_000 };
const DEFAULT_DEDUPE_MS = 600_000;

/**
 * @param backbones By their configured names; they need not be open yet.
 * @throws ConfigError that lists every impossible promise, each with its namespace, its backbone, and what could keep it.
 */
export function openNamespaces(config: Config, backbones: ReadonlyMap<string, Backbone>): Namespaces {
  const problems: string[] = [];
  const namespaces = Object.entries(config.namespaces).flatMap(([name, rules]) => {
    const plan = new Plan(name, rules, config, backbones);
    problems.push(...plan.problems);
    return plan.namespace ? [plan.namespace] : [];
  });
  if (problems.length > 0) throw new ConfigError(problems);
  return new Namespaces(namespaces);
}

/** One namespace on its way from the configuration to run time. */
class Plan {
  readonly problems: string[] = [];
  readonly namespace: Namespace | undefined;
  readonly #name: string;
  readonly #rules: NamespaceConfig;
  readonly #config: Config;
  readonly #backbones: ReadonlyMap<string, Backbone>;

  constructor(name: string, rules: NamespaceConfig, config: Config, backbones: ReadonlyMap<string, Backbone>) {
    this.#name = name;
    this.#rules = rules;
    this.#config = config;
    this.#backbones = backbones;
    this.namespace = this.#compose();
  }

  #compose(): Namespace | undefined {
    const { delivery, retention, redelivery } = this.#rules;
    const keeps = delivery !== "at-most-once" || retention !== undefined;
    const bus = this.#facet("bus");
    const log = keeps ? this.#facet("log") : undefined;
    const cursors = keeps ? this.#facet("cursors") : undefined;
    if (bus) this.#checkSize(bus);
    if (log) {
      this.#checkDelivery(log, "log");
      this.#checkDedupe(log);
      this.#checkRetention(log);
      this.#checkSize(log);
    }
    if (cursors && cursors !== log) this.#checkDelivery(cursors, "cursors");
    this.#checkDeadLetters();
    this.#checkTokens();
    if (!bus || (keeps && (!log || !cursors)) || !bus.backbone.bus) return undefined;
    const dedupeMs = log
      ? (this.#rules.dedupe ?? Math.min(DEFAULT_DEDUPE_MS, log.backbone.capabilities.dedupeWindowMs))
      : 0;
    const { age, messages, bytes } = retention ?? {};
    return {
      name: this.#name,
      rules: this.#rules,
      delivery,
      bus: bus.backbone.bus,
      ...(log?.backbone.log && { log: log.backbone.log }),
      ...(cursors?.backbone.cursors && { cursors: cursors.backbone.cursors }),
      announces: log?.backbone === bus.backbone && bus.backbone.capabilities.announces,
      retention: retention
        ? {
            ...(age !== undefined && { ageMs: age }),
            ...(messages !== undefined && { messages }),
            ...(bytes !== undefined && { bytes }),
          }
        : DEFAULT_RETENTION,
      dedupeMs,
      messageBytes: this.#config.client.message_bytes,
      redelivery: {
        maxAttempts: redelivery.max_attempts,
        backoff: redelivery.backoff,
        ...(redelivery.dead_letters !== undefined && { deadLetters: redelivery.dead_letters }),
      },
    };
  }

  #facet(facet: Exclude<Facet, "queue">): Chosen | undefined {
    const key = this.#rules[facet] === undefined ? "backbone" : facet;
    const chosen = this.#rules[facet] ?? this.#rules.backbone;
    if (chosen === undefined) {
      // Said once: without `backbone` every facet lacks one.
      if (facet === "bus") this.#refuse(`has no backbone. Set ${this.#path("backbone")} to ${this.#configured()}`);
      return undefined;
    }
    const backbone = this.#backbones.get(chosen);
    if (!backbone) {
      this.#refuse(
        `names the backbone ${JSON.stringify(chosen)}, which is not configured. Set ${this.#path(key)} to ${this.#configured()}`,
      );
      return undefined;
    }
    if (!backbone[facet]) {
      const able = Object.entries(BACKBONE_TYPES).flatMap(([type, { facets }]) =>
        facets.includes(facet) ? [type] : [],
      );
      this.#refuse(
        `needs a ${facet}, and ${label(chosen, backbone)} has none. Set ${this.#path(facet)} to a backbone of type ${list(able)}`,
      );
      return undefined;
    }
    return { name: chosen, backbone };
  }

  #checkDelivery({ name, backbone }: Chosen, facet: Facet): void {
    const { delivery } = this.#rules;
    if (rank(backbone.capabilities.delivery) >= rank(delivery)) return;
    this.#refuse(
      `promises ${delivery}, and ${label(name, backbone)} can keep ${backbone.capabilities.delivery} at most` +
        ` as its ${facet}${backbone.capabilities.durable ? "" : " (it does not survive a restart)"}. ` +
        `Use ${this.#ableTo(delivery)}, or set ${this.#path("delivery")} to ${backbone.capabilities.delivery}`,
    );
  }

  #checkDedupe({ name, backbone }: Chosen): void {
    const { delivery, dedupe } = this.#rules;
    const { dedupeWindowMs } = backbone.capabilities;
    if (dedupe !== undefined && dedupe > dedupeWindowMs) {
      this.#refuse(
        `wants repeated keys recognised for ${formatDuration(dedupe)}, and ${label(name, backbone)} remembers them for ` +
          `${formatDuration(dedupeWindowMs)} at most. Shorten ${this.#path("dedupe")}`,
      );
    }
    if (delivery === "exactly-once" && dedupe === 0) {
      this.#refuse(`promises exactly-once with no deduplication. Set ${this.#path("dedupe")} to a window such as 10m`);
    }
  }

  #checkRetention({ name, backbone }: Chosen): void {
    const { age, messages, bytes } = this.#rules.retention ?? {};
    const asked = { ageMs: age, messages, bytes };
    for (const [limit, key] of [
      ["ageMs", "age"],
      ["messages", "messages"],
      ["bytes", "bytes"],
    ] as const) {
      if (asked[limit] === undefined || backbone.capabilities.retention.includes(limit)) continue;
      this.#refuse(
        `limits what is kept by ${key}, and ${label(name, backbone)} cannot. Remove ${this.#path(`retention.${key}`)}`,
      );
    }
  }

  #checkSize({ name, backbone }: Chosen): void {
    const { messageBytes } = backbone.capabilities;
    if (this.#config.client.message_bytes <= messageBytes) return;
    const problem =
      `takes messages of ${this.#config.client.message_bytes} bytes, and ${label(name, backbone)} takes ${messageBytes} at most. ` +
      "Lower client.message_bytes";
    if (!this.problems.some((said) => said.endsWith(problem))) this.#refuse(problem);
  }

  #checkDeadLetters(): void {
    const { dead_letters } = this.#rules.redelivery;
    if (dead_letters === undefined) return;
    const colon = dead_letters.indexOf(":");
    const name = colon === -1 ? "" : dead_letters.slice(0, colon);
    const { namespaces } = this.#config;
    // A namespace may be called `constructor`; that of Object is none.
    const target = Object.hasOwn(namespaces, name) ? namespaces[name] : undefined;
    if (!target) {
      this.#refuse(
        `puts dead letters on ${JSON.stringify(dead_letters)}, whose namespace is not configured. Add it to namespaces`,
      );
    } else if (target.delivery === "at-most-once" && !target.retention) {
      this.#refuse(
        `puts dead letters on ${JSON.stringify(dead_letters)}, whose namespace keeps nothing. Give it a retention or a stronger delivery`,
      );
    }
  }

  #checkTokens(): void {
    if (this.#config.auth.jwt) return;
    for (const key of ["subscribe", "publish", "history", "presence"] as const) {
      if (this.#rules[key] === "token") {
        this.#refuse(`asks for a token in ${this.#path(key)}, and no tokens are configured. Set auth.jwt`);
      }
    }
  }

  #refuse(problem: string): void {
    this.problems.push(`namespace ${JSON.stringify(this.#name)} ${problem}`);
  }

  #path(key: string): string {
    return `namespaces.${this.#name === "" ? '""' : this.#name}.${key}`;
  }

  #configured(): string {
    return this.#backbones.size === 0 ? "a backbone, and add it under backbones" : list([...this.#backbones.keys()]);
  }

  /** The configured backbones that can keep a promise, else the types that could. */
  #ableTo(delivery: Delivery): string {
    const configured = [...this.#backbones].filter(
      ([, { capabilities, log }]) => log && rank(capabilities.delivery) >= rank(delivery),
    );
    if (configured.length > 0) return configured.map(([name, backbone]) => label(name, backbone)).join(" or ");
    const types = Object.entries(BACKBONE_TYPES).filter(
      ([, { capabilities, facets }]) => facets.includes("log") && rank(capabilities.delivery) >= rank(delivery),
    );
    return `a backbone of type ${list(types.map(([type]) => type))}`;
  }
}

interface Chosen {
  readonly name: string;
  readonly backbone: Backbone;
}

function rank(delivery: Delivery): number {
  return DELIVERIES.indexOf(delivery);
}

function label(name: string, { type }: Backbone): string {
  return `${JSON.stringify(name)} (${type})`;
}

function list(names: readonly string[]): string {
  return names.length === 0 ? "none" : names.join(" or ");
}
