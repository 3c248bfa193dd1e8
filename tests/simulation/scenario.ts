/** What a seed stands for: how big the world is, who lives in it and what will go wrong. */
import { parseConfig } from "../../server/src/config-file.ts";
import type { Config } from "../../server/src/config.ts";
import { CALM, type Weather } from "./broker-link.ts";
import type { Dice } from "./dice.ts";

/** What may happen to a part of the world in the time of troubles. */
export const FAULTS = [
  "reset",
  "vanish",
  "deceive",
  "lose client",
  "stall",
  "reload",
  "crash",
  "drain",
  "restart log",
  "wipe log",
  "come and go",
  "disconnect",
] as const;
export type Fault = (typeof FAULTS)[number];

/** What people do with a client when nothing is wrong. */
const GENTLE: ReadonlySet<Fault> = new Set(["come and go", "disconnect"]);

export interface SubscriberPlan {
  readonly channel: string;
  readonly start: "new" | "earliest";
  /** Name of its durable subscription. */
  readonly durable?: string;
  /** Acknowledges without one. */
  readonly ack: boolean;
  readonly inFlight?: number;
  /** Chance that a message takes long to handle. */
  readonly slow: number;
  /** Chance that handling a message fails, as long as that does not exhaust its attempts. */
  readonly fails: number;
  /** Messages that can never be handled: one in so many; 0: none. */
  readonly poison: number;
  readonly style: "handler" | "iteration";
}

export interface DevicePlan {
  readonly user: string;
  /** It keeps its positions across reloads. */
  readonly stores: boolean;
  readonly subscribers: readonly SubscriberPlan[];
}

export interface PublisherPlan {
  /** Through a client, or inside a gateway's process as an API does. */
  readonly by: "client" | "gateway";
  readonly channels: readonly string[];
  readonly messages: number;
  readonly everyMs: number;
  /** Does not wait for the answer before it sends the next. */
  readonly hasty: boolean;
  readonly padding: number;
}

export interface Scenario {
  readonly log: "memory" | "embedded";
  readonly gateways: number;
  readonly announces: boolean;
  readonly config: Config;
  readonly latencyMs: number;
  readonly slowLines: number;
  readonly unanswered: number;
  /** Anything may go wrong at all; otherwise devices come and go. */
  readonly rough: boolean;
  /** How long things go wrong, and how often. */
  readonly troubleMs: number;
  readonly faultEveryMs: number;
  readonly faults: readonly Fault[];
  readonly weather: Weather;
  readonly devices: readonly DevicePlan[];
  readonly publishers: readonly PublisherPlan[];
}

/** Those whose channels keep a log, and so have positions and remember keys. */
const LOGGED = ["once", "least", "short", "aged", "retry", "kept"];
const NAMESPACES = [...LOGGED, "most"];

export function keepsLog(channel: string): boolean {
  return LOGGED.includes(namespaceOf(channel));
}

export const DEAD_LETTERS = "dead:letters";
/** Of the namespace `retry`; the others have the default. */
const RETRY_ATTEMPTS = 3;
const DEFAULT_ATTEMPTS = 5;

function namespaceOf(channel: string): string {
  return channel.slice(0, channel.indexOf(":"));
}

export function maxAttemptsOf(channel: string): number {
  return namespaceOf(channel) === "retry" ? RETRY_ATTEMPTS : DEFAULT_ATTEMPTS;
}

/** Embedded worlds write files and take longer: one seed in so many. */
const EMBEDDED_EVERY = 8;

export function scenarioOf(seed: number, dice: Dice): Scenario {
  const log = seed % EMBEDDED_EVERY === 0 ? "embedded" : "memory";
  const channels = Array.from({ length: dice.whole(1, 3) }, (_, i) => `${dice.pick(NAMESPACES)}:${i}`);
  const rough = dice.chance(0.85);
  const faults = FAULTS.filter((fault) => dice.chance(0.4) && possible(fault, log) && (rough || GENTLE.has(fault)));
  return {
    log,
    gateways: dice.whole(1, 3),
    announces: dice.chance(0.8),
    config: dice.pick(CONFIGS),
    latencyMs: dice.pick([1, 10, 60]),
    slowLines: dice.pick([0, 0, 0.3, 1]),
    unanswered: rough ? dice.pick([0, 0, 0.2]) : 0,
    rough,
    troubleMs: dice.between(5000, 40_000),
    faultEveryMs: dice.pick([300, 1500, 6000]),
    faults,
    weather: rough ? weatherOf(dice) : CALM,
    devices: Array.from({ length: dice.whole(1, 4) }, (_, i) => deviceOf(dice, `u${i % 2}`, channels)),
    publishers: Array.from({ length: dice.whole(1, 3) }, () => publisherOf(dice, channels)),
  };
}

/** Two gateways with an embedded log are one process: it is restarted with them, and nothing wipes it. */
function possible(fault: Fault, log: Scenario["log"]): boolean {
  if (fault === "restart log") return log === "embedded";
  if (fault === "wipe log") return log === "memory";
  return true;
}

function weatherOf(dice: Dice): Weather {
  const [bus, calls] = [dice.pick([0, 0, 0.1, 0.4]), dice.pick([0, 0, 0.05, 0.2])];
  return {
    lost: bus * dice.next(),
    repeated: bus * dice.next(),
    late: bus * dice.next(),
    slow: dice.pick([0, 0.3, 1]),
    refused: calls * dice.next(),
    unknown: calls * dice.next(),
  };
}

function deviceOf(dice: Dice, user: string, channels: readonly string[]): DevicePlan {
  const taken = channels.filter(() => dice.chance(0.7));
  const [any] = channels;
  return {
    user,
    stores: dice.chance(0.5),
    subscribers: (taken.length > 0 || any === undefined ? taken : [any]).map((channel) => subscriberOf(dice, channel)),
  };
}

/** Those who share a durable subscription begin it alike. */
const DURABLE_STARTS = { phone: "earliest", tablet: "new" } as const;

function subscriberOf(dice: Dice, channel: string): SubscriberPlan {
  const positions = keepsLog(channel);
  const durable = positions && dice.chance(0.4) ? dice.pick(["phone", "tablet"] as const) : undefined;
  const fails = positions ? dice.pick([0, 0, 0.1, 0.3]) : 0;
  const ack = positions && durable === undefined && dice.chance(0.3);
  const inFlight = (durable !== undefined || ack) && dice.chance(0.5) ? dice.pick([1, 2, 10]) : undefined;
  const poison = namespaceOf(channel) === "retry" && durable !== undefined ? dice.pick([0, 5]) : 0;
  return {
    channel,
    start: durable === undefined ? dice.pick(["new", "earliest"]) : DURABLE_STARTS[durable],
    ...(durable !== undefined && { durable }),
    ack,
    ...(inFlight !== undefined && { inFlight }),
    slow: dice.pick([0, 0, 0.2]),
    fails,
    poison,
    // A loop that throws is left, and that is the end of its subscription.
    style: fails === 0 && poison === 0 && dice.chance(0.3) ? "iteration" : "handler",
  };
}

function publisherOf(dice: Dice, channels: readonly string[]): PublisherPlan {
  return {
    by: dice.chance(0.7) ? "client" : "gateway",
    channels,
    messages: dice.whole(3, 40),
    everyMs: dice.pick([20, 200, 1000]),
    hasty: dice.chance(0.4),
    padding: dice.pick([0, 0, 200, 1500]),
  };
}

const OPEN = { backbone: "broker", subscribe: "any", publish: "any", history: "any" } as const;
const RATES = { commands: "off", publish: "off", subscribe: "off", user: "off", connects: "off" } as const;

/** They differ in how much may wait for one connection. */
const CONFIGS: readonly Config[] = ["1KiB", "8KiB", "1MiB"].map((queue_bytes) =>
  parseConfig({
    auth: { insecure: true },
    client: { queue_bytes, rate: RATES },
    namespaces: {
      once: { ...OPEN, delivery: "exactly-once" },
      least: { ...OPEN, delivery: "at-least-once" },
      short: { ...OPEN, delivery: "exactly-once", retention: { messages: 12 } },
      aged: { ...OPEN, delivery: "at-least-once", retention: { age: "8s" } },
      retry: {
        ...OPEN,
        delivery: "exactly-once",
        redelivery: { max_attempts: RETRY_ATTEMPTS, backoff: "200ms..2s", dead_letters: DEAD_LETTERS },
      },
      kept: { ...OPEN, delivery: "at-most-once", retention: { messages: 1000 } },
      most: OPEN,
      dead: { ...OPEN, delivery: "exactly-once" },
    },
  }),
);
