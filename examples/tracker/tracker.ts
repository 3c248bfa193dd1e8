/** Where the vehicles are: each reports its positions, a dispatcher gets all of them however often it is away. */
import { Todoku, type Message } from "@todoku/client";
import type { ConfigInput } from "todoku";

export interface Place {
  readonly lat: number;
  readonly lon: number;
  /** Counts the vehicle's reports from 1. */
  readonly n: number;
}

type Vehicles = Record<`vehicle:${string}`, Place>;

/** `cluster` are URLs of some nodes. A report is accepted when the server that holds the vehicle and one replica have it. */
export function configOf(cluster: readonly string[]): ConfigInput {
  return {
    client: { rate: { publish: "off", commands: "off", user: "off" } },
    backbones: { streams: { type: "redis-streams", cluster: [...cluster], confirm: "replicas" } },
    namespaces: {
      vehicle: {
        backbone: "streams",
        delivery: "exactly-once",
        retention: { age: "1d", messages: 1000 },
        subscribe: "any",
        publish: "any",
        history: "any",
      },
    },
  };
}

/** Drives around a point, and reports `count` places. Resolves when all of them are kept. */
export async function drive(url: string, vehicle: string, count: number): Promise<void> {
  const client = new Todoku<Vehicles>(url);
  for (let n = 1; n <= count; n++) {
    const angle = n / 10;
    const place = { lat: 52.52 + Math.sin(angle) / 100, lon: 13.4 + Math.cos(angle) / 100, n };
    await client.publish(`vehicle:${vehicle}`, place);
  }
  await client.close();
}

/** Follows vehicles as a durable subscriber: what comes while it is away is delivered when it is back, at any gateway. */
export class Dispatcher {
  readonly #client: Todoku<Vehicles>;

  constructor(url: string, vehicles: readonly string[], handle: (vehicle: string, report: Message<Place>) => void) {
    this.#client = new Todoku<Vehicles>(url);
    for (const vehicle of vehicles) {
      this.#client.subscribe(`vehicle:${vehicle}`, (report) => handle(vehicle, report), {
        durable: "dispatcher",
        start: "earliest",
      });
    }
  }

  /** Acknowledges what was handled, and goes. */
  leave(): Promise<void> {
    return this.#client.close();
  }
}

/** The last places of a vehicle, oldest first. */
export async function track(url: string, vehicle: string, count: number): Promise<readonly Place[]> {
  const client = new Todoku<Vehicles>(url);
  const { messages } = await client.history(`vehicle:${vehicle}`, { limit: count, reverse: true });
  await client.close();
  return messages.map(({ data }) => data).toReversed();
}
