/**
 * The backbone that a simulated world's gateways share: a real one, memory or embedded, behind links that delay, fail
 * and lose what the Backbone contract lets them.
 */
import type { Backbone, Frame, FrameListener } from "../../server/src/backbones/contract.ts";
import { EmbeddedBackbone } from "../../server/src/backbones/embedded/embedded.ts";
import { MemoryBackbone } from "../../server/src/backbones/memory.ts";
import type { Dice } from "./dice.ts";
import type { Journal } from "./journal.ts";
import { Ledger } from "./ledger.ts";
import { ProcessClock, type VirtualTime } from "./virtual-time.ts";

export interface BrokerOptions {
  readonly time: VirtualTime;
  readonly dice: Dice;
  readonly journal: Journal;
  /** The data folder of an embedded log; without it the broker keeps everything in memory. */
  readonly folder?: string;
}

interface Follower {
  readonly channel: string;
  readonly listener: FrameListener;
  stop: () => Promise<void>;
}

export class Broker {
  readonly ledger: Ledger = new Ledger();
  readonly #options: BrokerOptions;
  readonly #followers = new Set<Follower>();
  #clock: ProcessClock;
  #backbone: Backbone;

  constructor(options: BrokerOptions) {
    this.#options = options;
    this.#clock = new ProcessClock(options.time, options.dice.split());
    this.#backbone = this.#make();
  }

  get backbone(): Backbone {
    return this.#backbone;
  }

  /** The log's timers that wait. */
  get waiting(): number {
    return this.#clock.waiting;
  }

  async open(): Promise<void> {
    await this.#backbone.open();
    const [head] = (await this.#backbone.log?.heads(["any"])) ?? [];
    this.ledger.opened(head?.epoch ?? "");
    this.#options.journal.note(() => `the log opens with epoch ${this.ledger.epoch}`);
  }

  /** The log loses everything while gateways are attached to it, which they notice by its epoch only. */
  async wipe(): Promise<void> {
    this.#options.journal.note(() => "the log is wiped");
    await this.#replace();
    for (const follower of this.#followers) {
      follower.stop = (await this.#backbone.bus?.subscribe(follower.channel, follower.listener)) ?? follower.stop;
    }
  }

  /** The log's process ends without notice and is started again on what it had written. Its gateways must be gone. */
  async restart(): Promise<void> {
    this.#options.journal.note(() => "the log is restarted");
    this.#followers.clear();
    await this.#replace();
  }

  async close(): Promise<void> {
    await this.#backbone.close();
  }

  /** Follows a channel of the log, also when the log is replaced by another. */
  async follow(channel: string, listener: (frame: Frame) => void): Promise<() => Promise<void>> {
    const { bus } = this.#backbone;
    if (!bus) throw new Error("the backbone has no bus");
    const follower: Follower = { channel, listener, stop: await bus.subscribe(channel, listener) };
    this.#followers.add(follower);
    return async () => {
      this.#followers.delete(follower);
      await follower.stop();
    };
  }

  async #replace(): Promise<void> {
    this.#clock.die();
    await this.#backbone.close();
    this.#clock = new ProcessClock(this.#options.time, this.#options.dice.split());
    this.#backbone = this.#make();
    await this.open();
  }

  #make(): Backbone {
    const { folder } = this.#options;
    return folder === undefined
      ? new MemoryBackbone({}, this.#clock)
      : new EmbeddedBackbone("simulated", { path: folder }, this.#clock);
  }
}
