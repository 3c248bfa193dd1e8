/** The simulated publishers: clients, and programs that publish inside a gateway's process. They repeat with the same key. */
import type { Book, Draft } from "./book.ts";
import type { Device } from "./device.ts";
import type { Dice } from "./dice.ts";
import type { GatewayProcess, Surroundings } from "./gateway-process.ts";
import { keepsLog, type PublisherPlan } from "./scenario.ts";
import { ProcessClock } from "./virtual-time.ts";

/** After an SDK or a gateway has given up. */
const TRIES = 3;
/** How long a program waits for its gateway before it tries another. */
const GATEWAY_PATIENCE_MS = 5000;

export interface PublishingOptions {
  readonly name: string;
  readonly plan: PublisherPlan;
  readonly around: Surroundings;
  readonly book: Book;
  /** Sends once. Resolves with the answer, rejects if there was none. */
  readonly send: (draft: Draft) => Promise<{ epoch?: string; offset?: number }>;
}

export class Publishing {
  readonly #options: PublishingOptions;
  readonly #dice: Dice;
  readonly #clock: ProcessClock;
  #stopped = false;
  #next = 1;

  constructor(options: PublishingOptions) {
    this.#options = options;
    this.#dice = options.around.dice.split();
    this.#clock = new ProcessClock(options.around.time, this.#dice);
    void this.#run();
  }

  /** Sends nothing new. */
  stop(): void {
    this.#stopped = true;
  }

  /** One message to this channel, until it is answered. */
  async publish(channel: string): Promise<Draft> {
    const { name, plan, book, around, send } = this.#options;
    const number = this.#next++;
    const padding = Math.floor(this.#dice.next() * plan.padding);
    const data = { by: name, n: number, ...(padding > 0 && { padding: "x".repeat(padding) }) };
    const draft: Draft = { publisher: name, number, channel, key: `${name}-${number}`, data };
    const answered = book.send(draft);
    around.journal.note(() => `${name} publishes ${number} to ${channel}`);
    // Where no key is remembered, what may have been delivered must not be sent again.
    for (let left = keepsLog(channel) ? TRIES : 1; left > 0; left--) {
      try {
        const answer = await send(draft);
        around.journal.note(() => `${name} was answered ${number}: ${answer.epoch ?? ""}/${answer.offset ?? ""}`);
        answered(answer);
        return draft;
      } catch (error) {
        around.journal.note(() => `${name} was not answered ${number}: ${String(error)}`);
        await this.#clock.pause(this.#dice.between(0, 1000));
      }
    }
    answered(undefined);
    return draft;
  }

  async #run(): Promise<void> {
    const { messages, everyMs, channels, hasty } = this.#options.plan;
    for (let i = 0; i < messages; i++) {
      await this.#clock.pause(this.#dice.between(0, 2 * everyMs));
      if (this.#stopped) return;
      const published = this.publish(this.#dice.pick(channels));
      if (!hasty) await published;
    }
  }
}

/** Sends by a client: it may be reloaded meanwhile, and then nobody waits for the answer any more. */
export function byClient(device: Device): PublishingOptions["send"] {
  return ({ channel, data, key }) => {
    if (!device.clock.alive) return device.reloaded();
    return Promise.race([device.client.publish(channel, { ...data }, { key }), device.reloaded()]);
  };
}

/** Sends inside one of the gateways that run, as an API server does. */
export function byGateway(pick: () => GatewayProcess | undefined, clock: ProcessClock): PublishingOptions["send"] {
  return async ({ channel, data, key }) => {
    const gateway = pick();
    const namespace = gateway?.namespaces.of(channel);
    if (!gateway || !namespace) throw new Error("no gateway runs");
    const published = gateway.publisher.publish(namespace, channel, JSON.stringify(data), { key });
    return Promise.race([published, impatient(clock)]);
  };
}

async function impatient(clock: ProcessClock): Promise<never> {
  await clock.pause(GATEWAY_PATIENCE_MS);
  throw new Error("no answer in time");
}
