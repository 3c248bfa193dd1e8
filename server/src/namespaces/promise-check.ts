/** Which promises of a namespace cannot be kept: each with the namespace, the backbone, and what could keep it. */
import { checkChannel, namespaceOf } from "@todoku/protocol";
import type { Backbone, Delivery, Facet } from "../backbones/contract.ts";
import { BACKBONE_TYPES } from "../backbones/registry.ts";
import type { Config, NamespaceConfig } from "../config.ts";
import { formatDuration } from "../units.ts";
import { canKeep, label, labels, list, rank } from "./keeping.ts";

export type QueueRules = NonNullable<NamespaceConfig["queue"]>;

/** What is absent though it is needed, is one of the problems. */
export interface ChannelBackbones {
  /** Messages are kept, which needs a log and cursors. */
  readonly keeps: boolean;
  readonly bus: Backbone | undefined;
  readonly log: Backbone | undefined;
  readonly cursors: Backbone | undefined;
}

export interface QueueBackbones {
  readonly bus: Backbone | undefined;
  readonly queue: Backbone | undefined;
}

interface Chosen {
  readonly name: string;
  readonly backbone: Backbone;
}

/** Holds one namespace against its backbones. */
export class PromiseCheck {
  readonly problems: string[] = [];
  readonly #name: string;
  readonly #rules: NamespaceConfig;
  readonly #config: Config;
  readonly #backbones: ReadonlyMap<string, Backbone>;

  constructor(name: string, rules: NamespaceConfig, config: Config, backbones: ReadonlyMap<string, Backbone>) {
    this.#name = name;
    this.#rules = rules;
    this.#config = config;
    this.#backbones = backbones;
  }

  /** The backbones of a namespace whose channels are no queues. */
  channels(): ChannelBackbones {
    const { consume, delivery, retention } = this.#rules;
    if (consume !== "none") this.#refuse(`says who may consume, and is no queue. Add ${this.#path("queue")}`);
    const keeps = delivery !== "at-most-once" || retention !== undefined;
    const bus = this.#facet("bus");
    const log = keeps ? this.#facet("log") : undefined;
    const cursors = keeps ? this.#facet("cursors") : undefined;
    if (bus) {
      this.#checkSize(bus);
      this.#checkBroadcast(bus);
    }
    if (log) {
      this.#checkDelivery(log, "log");
      this.#checkDedupe(log);
      this.#checkRetention(log);
      this.#checkSize(log);
    } else this.#checkKeepsNothing();
    if (cursors && cursors.backbone !== log?.backbone) this.#checkDelivery(cursors, "cursors");
    this.#checkDeadLetters();
    this.#checkTokens();
    this.#checkStorage(keeps);
    return { keeps, bus: bus?.backbone, log: log?.backbone, cursors: cursors?.backbone };
  }

  /** The backbones of a namespace whose channels are queues. */
  queues(rules: QueueRules): QueueBackbones {
    const bus = this.#facet("bus");
    const queue = this.#facet("queue");
    if (queue) {
      this.#checkDelivery(queue, "queue");
      this.#checkDedupe(queue, "queue.backbone");
      this.#checkSize(queue);
      this.#checkJobTimes(queue, rules);
    }
    this.#checkQueueRules();
    this.#checkTokens();
    return { bus: bus?.backbone, queue: queue?.backbone };
  }

  #facet(facet: Facet): Chosen | undefined {
    const own = facet === "queue" ? this.#rules.queue?.backbone : this.#rules[facet];
    const ownKey = facet === "queue" ? "queue.backbone" : facet;
    const key = own === undefined ? "backbone" : ownKey;
    const chosen = own ?? this.#rules.backbone;
    if (chosen === undefined) {
      if (this.#rules.bus === undefined) {
        this.#refuse(`has no backbone. Set ${this.#path("backbone")} to ${this.#configured()}`);
      } else {
        this.#refuse(
          `promises ${this.#promise()} and has no ${facet} for it. ` +
            `Set ${this.#path(ownKey)} to ${this.#ableTo(this.#rules.delivery, facet)}`,
        );
      }
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
      this.#refuse(
        `${facet === "queue" ? "is a queue" : `promises ${this.#promise()} and needs ${facet === "cursors" ? "cursors" : `a ${facet}`} for it`}, and ${label(chosen, backbone)} has none. ` +
          `Set ${this.#path(ownKey)} to ${this.#ableTo(this.#rules.delivery, facet)}`,
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

  #checkDedupe({ name, backbone }: Chosen, key: "log" | "queue.backbone" = "log"): void {
    const { delivery, dedupe } = this.#rules;
    const { dedupeWindowMs } = backbone.capabilities;
    const longest = formatDuration(dedupeWindowMs);
    if (dedupe !== undefined && dedupe > dedupeWindowMs) {
      const able = [...this.#backbones].filter(
        ([, { capabilities, log, queue }]) => (key === "log" ? log : queue) && capabilities.dedupeWindowMs >= dedupe,
      );
      this.#refuse(
        `promises that repeated keys are recognised for ${formatDuration(dedupe)}, and ${label(name, backbone)} remembers ` +
          `them for ${longest} at most. Shorten ${this.#path("dedupe")}` +
          (able.length === 0 ? "" : `, or set ${this.#path(key)} to ${labels(able)}`),
      );
    }
    if (delivery !== "exactly-once") return;
    if (dedupeWindowMs === 0) {
      this.#refuse(
        `promises exactly-once, and ${label(name, backbone)} recognises no repeated keys. Use ${this.#ableTo(delivery)}`,
      );
    } else if (dedupe === 0) {
      this.#refuse(
        `promises exactly-once with no deduplication. Set ${this.#path("dedupe")} to a window such as 10m ` +
          `(${label(name, backbone)} can keep up to ${longest})`,
      );
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
        `limits what is kept by ${key}, and ${label(name, backbone)} cannot: it can by ` +
          `${list(backbone.capabilities.retention.map((kind) => (kind === "ageMs" ? "age" : kind)))}. ` +
          `Remove ${this.#path(`retention.${key}`)}`,
      );
    }
  }

  /** What only makes sense for messages that are kept. */
  #checkKeepsNothing(): void {
    const { delivery, retention, dedupe, backbone } = this.#rules;
    if (delivery !== "at-most-once" || retention !== undefined || dedupe === undefined || dedupe === 0) return;
    this.#refuse(
      `promises that repeated keys are recognised for ${formatDuration(dedupe)}, and keeps no messages on ` +
        `${JSON.stringify(backbone)}. Give it ${this.#path("retention")}, or remove ${this.#path("dedupe")}`,
    );
  }

  #checkSize({ name, backbone }: Chosen): void {
    const { messageBytes } = backbone.capabilities;
    if (this.#config.client.message_bytes <= messageBytes) return;
    this.#refuse(
      `takes messages of ${this.#config.client.message_bytes} bytes, and ${label(name, backbone)} takes ${messageBytes} at most. ` +
        "Lower client.message_bytes",
    );
  }

  #checkBroadcast({ name, backbone }: Chosen): void {
    if (!this.#rules.broadcast || backbone.capabilities.broadcast === true) return;
    const able = Object.entries(BACKBONE_TYPES).flatMap(([type, { capabilities }]) =>
      capabilities.broadcast ? [type] : [],
    );
    this.#refuse(
      `wants its channels broadcast over several servers, and ${label(name, backbone)} has one per channel. ` +
        `Use a bus of type ${list(able)}, or remove ${this.#path("broadcast")}`,
    );
  }

  #checkStorage(keeps: boolean): void {
    const { storage } = this.#rules;
    if (storage === undefined) return;
    const configured = Object.keys(this.#config.storage);
    if (!configured.includes(storage)) {
      this.#refuse(
        `names the storage ${JSON.stringify(storage)}, which is not configured. Set ${this.#path("storage")} to ` +
          (configured.length === 0 ? "a storage, and add it under storage" : list(configured)),
      );
    } else if (!keeps) {
      this.#refuse(
        `names the storage ${JSON.stringify(storage)}, and keeps no messages that could be archived. ` +
          `Give it ${this.#path("retention")} or a stronger delivery, or remove ${this.#path("storage")}`,
      );
    }
  }

  #checkDeadLetters(): void {
    const { dead_letters } = this.#rules.redelivery;
    if (dead_letters === undefined) return;
    const flaw = checkChannel(dead_letters);
    if (flaw !== undefined) {
      const path = this.#path("redelivery.dead_letters");
      this.#refuse(`puts dead letters on ${JSON.stringify(dead_letters)}, which ${flaw}. Set ${path} to a channel`);
      return;
    }
    const name = namespaceOf(dead_letters);
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
    for (const key of ["subscribe", "publish", "consume", "history", "presence"] as const) {
      if (this.#rules[key] === "token") {
        this.#refuse(`asks for a token in ${this.#path(key)}, and no tokens are configured. Set auth.jwt`);
      }
    }
  }

  /** What only makes sense for channels that are no queues. */
  #checkQueueRules(): void {
    for (const key of ["retention", "log", "cursors", "storage"] as const) {
      if (this.#rules[key] === undefined) continue;
      this.#refuse(`is a queue, which keeps its jobs until they are done. Remove ${this.#path(key)}`);
    }
    const { consume, publish } = this.#rules;
    if (consume === "subscribers") {
      this.#refuse(
        `is a queue, which has no subscribers. Set ${this.#path("consume")} to none, any, authenticated or token`,
      );
    }
    if (publish === "subscribers" || publish === "token") {
      this.#refuse(
        `is a queue, which has no subscribers, with a token or without. Set ${this.#path("publish")} to none, any or authenticated`,
      );
    }
  }

  #checkJobTimes({ name, backbone }: Chosen, { ttl, deliver_at }: QueueRules): void {
    const { queue } = backbone.capabilities;
    if (ttl !== undefined && queue?.ttl !== true) {
      this.#refuse(
        `lets jobs expire, and ${label(name, backbone)} cannot. Remove ${this.#path("queue.ttl")}, or set ` +
          `${this.#path("queue.backbone")} to ${this.#ableTo(this.#rules.delivery, "queue")}`,
      );
    }
    if (deliver_at === true && queue?.deliverAt !== true) {
      this.#refuse(
        `holds jobs back until a time, and ${label(name, backbone)} cannot. Remove ${this.#path("queue.deliver_at")}, or set ` +
          `${this.#path("queue.backbone")} to ${this.#ableTo(this.#rules.delivery, "queue")}`,
      );
    }
  }

  /** One problem that several facets have is said once. */
  #refuse(problem: string): void {
    const said = `namespace ${JSON.stringify(this.#name)} ${problem}`;
    if (!this.problems.includes(said)) this.problems.push(said);
  }

  #path(key: string): string {
    return `namespaces.${this.#name === "" ? '""' : this.#name}.${key}`;
  }

  #configured(): string {
    return this.#backbones.size === 0 ? "a backbone, and add it under backbones" : list([...this.#backbones.keys()]);
  }

  #promise(): string {
    const { delivery, retention } = this.#rules;
    return delivery === "at-most-once" && retention ? `${delivery} with a retention` : delivery;
  }

  /** The configured backbones that can keep a promise with one of their facets, else the types that could. */
  #ableTo(delivery: Delivery, facet: Facet = "log"): string {
    const configured = [...this.#backbones].filter(
      ([, backbone]) => backbone[facet] && canKeep(backbone.capabilities, delivery),
    );
    if (configured.length > 0) return labels(configured);
    const types = Object.entries(BACKBONE_TYPES).filter(
      ([, { capabilities, facets }]) => facets.includes(facet) && canKeep(capabilities, delivery),
    );
    return `a backbone of type ${list(types.map(([type]) => type))}`;
  }
}
