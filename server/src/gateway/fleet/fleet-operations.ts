/** The operations on the connections of all gateways: each does its part, and the answers are put together. */
import type { ClientInfo, PresenceStatsResult } from "@todoku/protocol";
import type { Clock } from "../../clock.ts";
import type { Bus, CursorKey } from "../../backbones/contract.ts";
import { statsOf } from "../presence.ts";
import type { ChannelStats, NodeInfo, Operations } from "../operations.ts";
import { Fleet } from "./fleet.ts";

const QUESTIONS = ["presence", "channels", "subscribe", "unsubscribe", "disconnect", "refresh", "info"] as const;
type Question = (typeof QUESTIONS)[number];

export interface FleetOptions {
  /** This gateway's name among the others. */
  readonly uid: string;
  /** The bus that all gateways share. */
  readonly bus: Bus;
  readonly clock: Clock;
  /** A durable subscription was claimed on another gateway. */
  readonly onClaimed: (key: CursorKey, fence: number) => void;
  /** Hears of what could not be said to the others. */
  readonly failed: (error: unknown) => void;
}

export class FleetOperations implements Operations {
  readonly #local: Operations;
  readonly #fleet: Fleet;

  constructor(local: Operations, { uid, bus, clock, onClaimed, failed }: FleetOptions) {
    this.#local = local;
    const member = {
      answer: (what: string, about: unknown): Promise<unknown> => this.#answer(what, about),
      news: (what: string, about: unknown): void => {
        if (what !== "claimed") return;
        const { key, fence } = about as { key: CursorKey; fence: number };
        onClaimed(key, fence);
      },
    };
    this.#fleet = new Fleet(uid, bus, clock, member, failed);
  }

  start(): Promise<void> {
    return this.#fleet.start();
  }

  stop(): Promise<void> {
    return this.#fleet.stop();
  }

  /** This gateway has claimed a durable subscription: an older holder elsewhere must let go. */
  claimed(key: CursorKey, fence: number): void {
    this.#fleet.tell("claimed", { key, fence });
  }

  async presence(channel: string): Promise<Record<string, ClientInfo>> {
    const all = await this.#all("presence", [channel], () => this.#local.presence(channel));
    return Object.assign({}, ...all);
  }

  async presenceStats(channel: string): Promise<PresenceStatsResult> {
    return statsOf(Object.values(await this.presence(channel)));
  }

  async channels(pattern?: string): Promise<Record<string, ChannelStats>> {
    const sum = new Map<string, number>();
    for (const channels of await this.#all("channels", [pattern], () => this.#local.channels(pattern))) {
      for (const [channel, { num_clients }] of Object.entries(channels))
        sum.set(channel, (sum.get(channel) ?? 0) + num_clients);
    }
    return Object.fromEntries([...sum].map(([channel, num_clients]) => [channel, { num_clients }]));
  }

  subscribe(...given: Parameters<Operations["subscribe"]>): Promise<number> {
    return this.#sum("subscribe", given, () => this.#local.subscribe(...given));
  }

  unsubscribe(...given: Parameters<Operations["unsubscribe"]>): Promise<number> {
    return this.#sum("unsubscribe", given, () => this.#local.unsubscribe(...given));
  }

  disconnect(...given: Parameters<Operations["disconnect"]>): Promise<number> {
    return this.#sum("disconnect", given, () => this.#local.disconnect(...given));
  }

  refresh(...given: Parameters<Operations["refresh"]>): Promise<number> {
    return this.#sum("refresh", given, () => this.#local.refresh(...given));
  }

  async info(): Promise<readonly NodeInfo[]> {
    return (await this.#all("info", [], () => this.#local.info())).flat();
  }

  /** This gateway's own answer first: what it refuses is refused, and the others are not asked. */
  async #all<T>(what: Question, given: readonly unknown[], here: () => Promise<T>): Promise<T[]> {
    const mine = await here();
    // What was left out stays left out: JSON would make null of it.
    const said = given.filter((one) => one !== undefined);
    return [mine, ...((await this.#fleet.ask(what, said)) as T[])];
  }

  async #sum(what: Question, given: readonly unknown[], here: () => Promise<number>): Promise<number> {
    return (await this.#all(what, given, here)).reduce((sum, count) => sum + count, 0);
  }

  async #answer(what: string, about: unknown): Promise<unknown> {
    const question = QUESTIONS.find((known) => known === what);
    // A gateway of a newer version may ask what this one does not know.
    if (!question || !Array.isArray(about)) throw new Error(`another gateway asked for ${JSON.stringify(what)}`);
    const operation: (...given: never[]) => Promise<unknown> = this.#local[question];
    return operation.apply(this.#local, about as never[]);
  }
}
