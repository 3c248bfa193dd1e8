import { setTimeout as after } from "node:timers/promises";
import { ERRORS, TodokuError, type Todoku } from "@todoku/client";
import type { EventLog } from "../events.ts";
import type { SeededRandom } from "../seeded-random.ts";
import type { Channels, Payload } from "./payload.ts";

/** Longest pause between two messages of one publisher, in milliseconds. */
const PACE_MS = 100;

/** Publishes one message after the other to channels of its choice, until it is stopped. */
export async function publishOn(
  client: Todoku<Channels>,
  name: string,
  channels: readonly string[],
  log: EventLog,
  random: SeededRandom,
  stop: AbortSignal,
): Promise<void> {
  for (let n = 1; !stop.aborted; n++) {
    const text = "x".repeat(random.integer(0, 300));
    await publish(client, name, random.pick(channels), { key: `${name} ${n}`, text }, log);
    await after(random.integer(0, PACE_MS));
  }
}

/** Publishes one message, and writes down what was meant and what came of it. */
export async function publish(
  client: Todoku<Channels>,
  publisher: string,
  channel: string,
  payload: Payload,
  log: EventLog,
): Promise<void> {
  const { key, text } = payload;
  log.append({ kind: "publish", publisher, channel, key, data: text });
  try {
    const { epoch = "", offset = 0, duplicate } = await client.publish(channel, payload, { key });
    log.append({ kind: "ok", channel, key, position: { epoch, offset }, duplicate });
  } catch (error) {
    const unknown = error instanceof TodokuError && error.code === ERRORS.outcomeUnknown.code;
    log.append({ kind: unknown ? "unknown" : "failed", channel, key });
  }
}
