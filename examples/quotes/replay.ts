/**
 * Replays the quotes through the HTTP API. Each quote has an idempotency key: whatever happens to the server, it is repeated
 * with the same key until it is accepted, and stored once.
 */
import { setTimeout as pause } from "node:timers/promises";
import { byDay, type Quote } from "./quotes.ts";

export interface ReplayOptions {
  /** Of the server: `http://localhost:8010`. */
  readonly url: string;
  /** Quotes per second; `Infinity`: as fast as the server takes them. */
  readonly speed: number;
  /** Part of the keys: another run stores the quotes again. */
  readonly run: string;
  /** Called after each quote that was accepted. */
  readonly onAccepted?: (quote: Quote, accepted: Accepted) => void;
  /** Called before a quote is tried again. */
  readonly onRetry?: (quote: Quote, why: string) => void;
}

export interface Accepted {
  readonly offset: number;
  readonly epoch: string;
  /** The server had it already: the answer to an earlier try was lost. */
  readonly duplicate?: boolean;
}

const RETRY_MS = 250;

/** Resolves when every quote was accepted. Rejects when the server refuses one for good. */
export async function replay(quotes: readonly Quote[], options: ReplayOptions): Promise<void> {
  for (const day of byDay(quotes)) {
    const paced = options.speed === Infinity ? undefined : pause((day.length * 1000) / options.speed);
    await Promise.all([...day.map((quote) => publish(quote, options)), paced]);
  }
}

async function publish(quote: Quote, options: ReplayOptions): Promise<void> {
  for (;;) {
    try {
      const accepted = await tryPublish(quote, options);
      options.onAccepted?.(quote, accepted);
      return;
    } catch (error) {
      if (error instanceof Refused) throw error;
      options.onRetry?.(quote, error instanceof Error ? error.message : String(error));
      await pause(RETRY_MS);
    }
  }
}

async function tryPublish({ symbol, date, price }: Quote, { url, run }: ReplayOptions): Promise<Accepted> {
  const response = await fetch(`${url}/api/publish`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      channel: `quotes:${symbol}`,
      data: { date, price },
      idempotency_key: `${run} ${symbol} ${date}`,
    }),
  });
  const { result, error } = (await response.json()) as {
    result?: Accepted;
    error?: { code: number; message: string };
  };
  if (result) return result;
  const { code = 0, message = `status ${response.status}` } = error ?? {};
  // 100 internal, 111 too many, 402 unavailable, 403 outcome unknown, 405 storage full: worth another try.
  if ([100, 111, 402, 403, 405].includes(code)) throw new Error(message);
  throw new Refused(`the server refused ${symbol} of ${date}: ${code} ${message}`);
}

class Refused extends Error {
  override readonly name = "Refused";
}
