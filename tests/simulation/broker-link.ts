/** How one gateway reaches the broker. Everything that goes wrong here is allowed by the Backbone contract. */
import {
  BackboneError,
  type AppendOptions,
  type Appended,
  type Backbone,
  type Bus,
  type Capabilities,
  type Cursors,
  type Frame,
  type FrameListener,
  type Log,
  type Message,
} from "../../server/src/backbones/contract.ts";
import type { Broker } from "./broker.ts";
import type { Dice } from "./dice.ts";
import type { Sabotage } from "./sabotage.ts";
import type { ProcessClock, VirtualTime } from "./virtual-time.ts";

/** How likely each trouble is, 0..1. Changed while the world runs. */
export interface Weather {
  /** Of one frame of the bus. */
  lost: number;
  repeated: number;
  late: number;
  /** Of one call. */
  slow: number;
  refused: number;
  /** It took effect, and the caller is not told. */
  unknown: number;
}

export const CALM: Weather = { lost: 0, repeated: 0, late: 0, slow: 0, refused: 0, unknown: 0 };

export interface LinkOptions {
  readonly time: VirtualTime;
  readonly dice: Dice;
  /** Of the gateway's process. */
  readonly clock: ProcessClock;
  readonly weather: Weather;
  /** Whether the log's appends reach the bus by themselves; otherwise gateways publish, and frames come without `prev`. */
  readonly announces: boolean;
  readonly sabotage?: Sabotage;
}

const LONGEST_DELAY_MS = 300;

export class BrokerLink implements Backbone {
  readonly type = "simulated";
  readonly capabilities: Capabilities;
  readonly bus: Bus;
  readonly log: Log;
  readonly cursors: Cursors;
  readonly #broker: Broker;
  readonly #options: LinkOptions;

  constructor(broker: Broker, options: LinkOptions) {
    this.#broker = broker;
    this.#options = options;
    this.capabilities = {
      delivery: "exactly-once",
      durable: true,
      shared: true,
      announces: options.announces,
      ordering: "none",
      dedupeWindowMs: Number.MAX_SAFE_INTEGER,
      messageBytes: Number.MAX_SAFE_INTEGER,
      retention: ["ageMs", "messages", "bytes"],
    };
    this.bus = {
      publish: (channel, frame) => this.#call(() => facet(this.#broker.backbone.bus).publish(channel, frame)),
      subscribe: (channel, listener) => this.#subscribe(channel, listener),
    };
    this.log = {
      append: (channel, message, append) => this.#call(() => this.#append(channel, message, append)),
      read: (channel, read) => this.#call(() => facet(this.#broker.backbone.log).read(channel, read)),
      heads: (channels) => this.#call(() => facet(this.#broker.backbone.log).heads(channels)),
      remove: (channel) => this.#call(() => facet(this.#broker.backbone.log).remove(channel)),
      channels: (...given) => this.#call(() => facet(this.#broker.backbone.log).channels(...given)),
    };
    this.cursors = {
      claim: (key) => this.#call(() => facet(this.#broker.backbone.cursors).claim(key)),
      write: (writes) =>
        this.#call(async () =>
          options.sabotage === "cursors"
            ? writes.map(() => "stored" as const)
            : facet(this.#broker.backbone.cursors).write(writes),
        ),
      forget: (key) => this.#call(() => facet(this.#broker.backbone.cursors).forget(key)),
    };
  }

  async open(): Promise<void> {}

  async close(): Promise<void> {}

  async check(): Promise<void> {}

  /** One call: the way there, what it does, and the way back, which ends at a process that has died. */
  async #call<T>(work: () => Promise<T>): Promise<T> {
    const { dice, weather, time, clock } = this.#options;
    const slow = dice.chance(weather.slow);
    if (slow) await new Promise<void>((resolve) => time.after(dice.between(0, LONGEST_DELAY_MS), resolve));
    if (dice.chance(weather.refused)) throw new BackboneError("unavailable", "[simulated] the broker refuses work");
    const result = await work();
    if (slow) await clock.pause(dice.between(0, LONGEST_DELAY_MS));
    if (dice.chance(weather.unknown)) throw new BackboneError("unknown", "[simulated] the broker's answer was lost");
    return result;
  }

  async #append(channel: string, message: Message, { retention, dedupe }: AppendOptions): Promise<Appended> {
    const { backbone, ledger } = this.#broker;
    const forget = this.#options.sabotage === "keys";
    const appended = await facet(backbone.log).append(channel, message, {
      retention,
      ...(dedupe && !forget && { dedupe }),
    });
    if (!appended.duplicate) ledger.store(channel, message, appended, dedupe?.key, retention);
    return appended;
  }

  async #subscribe(channel: string, listener: FrameListener): Promise<() => Promise<void>> {
    const { dice, weather, clock, announces, sabotage } = this.#options;
    let listening = true;
    let last: { epoch: string; offset: number } | undefined;
    const deliver = (frame: Frame): void => {
      if (!listening || !clock.alive) return;
      if (sabotage !== "links" || frame.kind !== "message" || !frame.position) return listener(frame);
      const { epoch, offset } = frame.position;
      const prev = last?.epoch === epoch ? last.offset : frame.prev;
      last = { epoch, offset };
      listener({ ...frame, ...(prev !== undefined && { prev }) });
    };
    const receive = (frame: Frame): void => {
      // The store's own announcement, which this log does not make.
      if (!announces && frame.kind === "message" && frame.prev !== undefined) return;
      if (dice.chance(weather.lost)) return;
      if (dice.chance(weather.repeated)) clock.after(dice.between(0, LONGEST_DELAY_MS), () => deliver(frame));
      if (dice.chance(weather.late)) clock.after(dice.between(0, LONGEST_DELAY_MS), () => deliver(frame));
      else deliver(frame);
    };
    let stop = async (): Promise<void> => {};
    const detach = async (): Promise<void> => {
      listening = false;
      await stop();
    };
    try {
      await this.#call(async () => (stop = await this.#broker.follow(channel, receive)));
    } catch (error) {
      await detach();
      throw error;
    }
    return detach;
  }
}

function facet<T>(offered: T | undefined): T {
  if (!offered) throw new Error("the backbone lacks a facet");
  return offered;
}
