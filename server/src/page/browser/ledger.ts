/**
 * What all tabs of this browser have sent, told from tab to tab through localStorage and so past todoku: only with it can a
 * tab say what it has missed. Each publish has a key of its own, so tabs never overwrite each other's.
 */
import type { Sent } from "./tally.ts";

const PREFIX = "todoku-page/sent/";
const KEPT_MS = 3_600_000;

export class Ledger {
  readonly #storage: Storage;

  /** Forgets what was written more than an hour before `now`. */
  constructor(storage: Storage, now: number) {
    this.#storage = storage;
    for (const { key, sent } of this.#all()) if (sent.at < now - KEPT_MS) storage.removeItem(key);
  }

  write(channel: string, sent: Sent): void {
    try {
      this.#storage.setItem(`${PREFIX}${channel}/${sent.id}`, JSON.stringify(sent));
    } catch {
      // A full storage only makes the tally of other tabs poorer.
    }
  }

  /** Everything that was sent to a channel. */
  read(channel: string): readonly Sent[] {
    return this.#all().flatMap(({ key, sent }) => (key.startsWith(`${PREFIX}${channel}/`) ? [sent] : []));
  }

  /** Calls back with what other tabs send. */
  listen(window: Window, heard: (channel: string, sent: Sent) => void): void {
    window.addEventListener("storage", ({ key, newValue }) => {
      if (key === null || newValue === null || !key.startsWith(PREFIX)) return;
      const sent = parse(newValue);
      const slash = key.indexOf("/", PREFIX.length);
      if (sent && slash !== -1) heard(key.slice(PREFIX.length, slash), sent);
    });
  }

  #all(): { readonly key: string; readonly sent: Sent }[] {
    return Object.keys(this.#storage).flatMap((key) => {
      const sent = key.startsWith(PREFIX) ? parse(this.#storage.getItem(key) ?? "") : undefined;
      return sent ? [{ key, sent }] : [];
    });
  }
}

function parse(text: string): Sent | undefined {
  try {
    return JSON.parse(text) as Sent;
  } catch {
    return undefined;
  }
}
