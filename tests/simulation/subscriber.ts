/** One subscription of a simulated device, and the handler behind it: slow at times, failing at times, gone at times. */
import type { Message, Subscription, Todoku } from "@todoku/client";
import type { Gap } from "@todoku/protocol";
import type { Dice } from "./dice.ts";
import type { Surroundings } from "./gateway-process.ts";
import type { SubscriberPlan } from "./scenario.ts";
import type { ProcessClock } from "./virtual-time.ts";

/** A message as a handler gets it. */
export interface Received {
  readonly data: unknown;
  readonly offset?: number;
  readonly epoch?: string;
  readonly id?: string;
}

/** What stands beside a subscription and looks at what it is given. */
export interface Watch {
  ready(): void;
  begun(message: Received): void;
  finished(message: Received): void;
  failed(message: Received): void;
  gap(gap: Gap): void;
  /** It was closed in good order; `connected`: on one connection from first to last. */
  closed(connected: boolean): void;
  /** Nothing may be missing now. `published` are the messages of the calm at the end (JSON text). */
  mustBeComplete(published: readonly string[]): void;
}

/** Makes a watch for each life of a subscription. */
export interface Watcher {
  begin(): Watch;
}

/** A message is made to fail so often at most, so that none but the poisoned ones are given up. */
const MOST_FAILURES = 2;
const SLOWEST_MS = 3000;

export class Subscriber {
  readonly name: string;
  /** The same for those who share a durable subscription. */
  readonly identity: string;
  readonly plan: SubscriberPlan;
  readonly #watcher: Watcher;
  readonly #around: Surroundings;
  readonly #dice: Dice;
  readonly #failures = new Map<string, number>();
  #running: { readonly client: Todoku; readonly subscription: Subscription; readonly watch: Watch } | undefined;
  #subscribe: (() => void) | undefined;
  /** Trouble is over: handlers neither fail nor dawdle, except over what is poisoned. */
  calm = false;
  /** Messages that were handled, and gaps that were told. */
  handled = 0;
  gaps = 0;
  /** Its subscription has ended by itself. */
  onEnded: () => void = () => {};

  constructor(name: string, user: string, plan: SubscriberPlan, watcher: Watcher, around: Surroundings) {
    this.name = name;
    this.identity = plan.durable === undefined ? name : `${plan.channel} of ${user}, ${plan.durable}`;
    this.plan = plan;
    this.#watcher = watcher;
    this.#around = around;
    this.#dice = around.dice.split();
  }

  get subscribed(): boolean {
    return this.#running !== undefined;
  }

  /** Its process has started. */
  boot(client: Todoku, clock: ProcessClock): void {
    this.#subscribe = () => this.#begin(client, clock);
    this.#subscribe();
  }

  /** Its process is gone. */
  lost(): void {
    this.#running = undefined;
    this.#subscribe = undefined;
  }

  /** Subscribes again if it does not, in a process that runs. */
  comeBack(): void {
    if (!this.#running) this.#subscribe?.();
  }

  /** Unsubscribes in good order. */
  async leave(): Promise<void> {
    const running = this.#running;
    if (!running) return;
    this.#running = undefined;
    this.#around.journal.note(() => `${this.name} leaves`);
    const { client, subscription, watch } = running;
    const connection = client.id;
    await subscription.close();
    watch.closed(connection !== undefined && client.id === connection);
    this.#around.journal.note(() => `${this.name} has left`);
  }

  mustBeComplete(published: readonly string[]): void {
    this.#running?.watch.mustBeComplete(published);
  }

  #begin(client: Todoku, clock: ProcessClock): void {
    const { channel, start, durable, ack, inFlight, style } = this.plan;
    const { journal } = this.#around;
    const watch = this.#watcher.begin();
    const options = {
      start,
      ...(durable !== undefined && { durable }),
      ...(ack && { ack }),
      ...(inFlight !== undefined && { inFlight }),
    };
    const handle = (message: Message): Promise<void> => this.#handle(message, watch, clock);
    const subscription =
      style === "handler" ? client.subscribe(channel, handle, options) : client.subscribe(channel, options);
    const running = { client, subscription, watch };
    this.#running = running;
    subscription.on("gap", (gap) => {
      journal.note(() => `${this.name} gap ${gap.from}..${gap.to} ${gap.reason} ${gap.epoch ?? ""}`);
      this.gaps++;
      watch.gap(gap);
    });
    subscription.on("error", (error) => journal.note(() => `${this.name} error: ${error.message}`));
    subscription.on("state", (state) => {
      journal.note(() => `${this.name} ${state}`);
      if (state === "subscribed") watch.ready();
      if (state !== "closed" || this.#running !== running) return;
      this.#running = undefined;
      this.onEnded();
    });
    if (style === "iteration") void this.#iterate(subscription, watch, clock);
  }

  /** As `for await` does it; a message counts as handled when the next one is asked for and the subscription still is. */
  async #iterate(subscription: Subscription, watch: Watch, clock: ProcessClock): Promise<void> {
    const messages = subscription[Symbol.asyncIterator]();
    try {
      for (let next = await messages.next(); next.done !== true; next = await messages.next()) {
        const message = next.value;
        await this.#work(message, watch, clock);
        if (subscription.state === "closed") return;
        this.#finish(message, watch);
      }
    } catch (error) {
      this.#around.journal.note(() => `${this.name} ends: ${String(error)}`);
    }
  }

  async #handle(message: Message, watch: Watch, clock: ProcessClock): Promise<void> {
    await this.#work(message, watch, clock);
    if (this.#fails(message)) {
      watch.failed(message);
      throw new Error("it is meant to fail");
    }
    this.#finish(message, watch);
  }

  async #work(message: Message, watch: Watch, clock: ProcessClock): Promise<void> {
    this.#around.journal.note(() => `${this.name} begins ${placeOf(message)} ${numberOf(message)}`);
    watch.begun(message);
    if (!this.calm && this.#dice.chance(this.plan.slow)) await clock.pause(this.#dice.between(0, SLOWEST_MS));
  }

  #finish(message: Message, watch: Watch): void {
    this.handled++;
    watch.finished(message);
    this.#around.journal.note(() => `${this.name} finished ${placeOf(message)}`);
  }

  #fails(message: Message): boolean {
    const { poison, fails } = this.plan;
    if (poison > 0 && numberOf(message) % poison === 0) return true;
    if (this.calm || !this.#dice.chance(fails)) return false;
    const failures = (this.#failures.get(placeOf(message)) ?? 0) + 1;
    this.#failures.set(placeOf(message), failures);
    return failures <= MOST_FAILURES;
  }
}

function placeOf({ epoch = "", offset = 0 }: Message): string {
  return `${epoch}/${offset}`;
}

function numberOf({ data }: Message): number {
  return typeof data === "object" && data !== null && "n" in data ? Number(data["n"]) : 1;
}
