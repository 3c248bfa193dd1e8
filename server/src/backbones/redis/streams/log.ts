/** The log facet: a Redis stream per channel. */
import type {
  AppendOptions,
  Appended,
  Head,
  Log,
  Message,
  Position,
  Range,
  ReadOptions,
  StoredMessage,
} from "../../contract.ts";
import { ANNOUNCE, APPEND, HEAD, READ, REMOVE } from "./scripts.ts";
import type { ScriptCalls } from "./script-calls.ts";

const DAY_MS = 86_400_000;
/** A channel that is neither written nor read is remembered so long beyond its messages, so that its offsets go on. */
const META_MS = 30 * DAY_MS;
/** A channel that was only asked for. */
const UNWRITTEN_MS = DAY_MS;

/** The keys of a channel, which share a hash tag and so a server. */
export interface ChannelKeys {
  meta(channel: string): string;
  log(channel: string): string;
  /** On which appends are announced. */
  bus(channel: string): string;
  idempotency(channel: string, key: string): string;
}

interface Announcement {
  at: Position;
  told: Promise<unknown>;
}

export class RedisLog implements Omit<Log, "channels"> {
  readonly #calls: ScriptCalls;
  readonly #keys: ChannelKeys;
  readonly #publish: "PUBLISH" | "SPUBLISH";
  readonly #later: boolean;
  readonly #freshEpoch: () => string;
  readonly #announcements = new Map<string, Announcement>();

  /**
   * `later`: a message is shown to readers only after its append was confirmed. `freshEpoch` gives a name for a new epoch and
   * how many replicas a server must have to begin one.
   */
  constructor(
    calls: ScriptCalls,
    keys: ChannelKeys,
    publish: "PUBLISH" | "SPUBLISH",
    later: boolean,
    freshEpoch: () => string,
  ) {
    this.#calls = calls;
    this.#keys = keys;
    this.#publish = publish;
    this.#later = later;
    this.#freshEpoch = freshEpoch;
  }

  async append(channel: string, message: Message, { retention, dedupe }: AppendOptions): Promise<Appended> {
    const keys = this.#keys;
    const { ageMs = 0, messages = 0, bytes = 0 } = retention;
    const args = [
      this.#freshEpoch(),
      this.#later ? "" : this.#publish,
      JSON.stringify(message),
      Buffer.byteLength(message.data),
      message.time,
      messages,
      ageMs,
      bytes,
      ageMs + META_MS,
    ];
    const answer = dedupe
      ? await this.#calls.run(
          APPEND,
          [keys.meta(channel), keys.log(channel), keys.bus(channel), keys.idempotency(channel, dedupe.key)],
          [...args, dedupe.windowMs],
        )
      : await this.#calls.run(APPEND, [keys.meta(channel), keys.log(channel), keys.bus(channel)], args);
    const [epoch, offset, duplicate] = answer as [string, number, number];
    if (this.#later) await this.#announce(channel, { epoch, offset });
    return { epoch, offset, duplicate: duplicate === 1 };
  }

  /** One announcement tells everything up to its offset: those of one turn on a channel are told by the last of them. */
  #announce(channel: string, at: Position): Promise<unknown> {
    const waiting = this.#announcements.get(channel);
    if (waiting?.at.epoch === at.epoch) {
      if (waiting.at.offset < at.offset) waiting.at = at;
      return waiting.told;
    }
    const keys = this.#keys;
    const named: [string, string, string] = [keys.meta(channel), keys.log(channel), keys.bus(channel)];
    const announcement: Announcement = { at, told: Promise.resolve() };
    announcement.told = announcement.told.then(() => {
      if (this.#announcements.get(channel) === announcement) this.#announcements.delete(channel);
      const { epoch, offset } = announcement.at;
      return this.#calls.run(ANNOUNCE, named, [epoch, this.#publish, offset]);
    });
    this.#announcements.set(channel, announcement);
    return announcement.told;
  }

  async read(channel: string, { after, limit, maxBytes, reverse = false }: ReadOptions): Promise<Range> {
    const from = reverse ? (after === undefined ? "" : Math.max(0, after - 1)) : (after ?? 0) + 1;
    const args = [this.#freshEpoch(), from, reverse ? "1" : "0", limit, maxBytes ?? Number.MAX_SAFE_INTEGER];
    const answer = await this.#calls.run(READ, [this.#keys.meta(channel), this.#keys.log(channel)], args);
    const [epoch, head, trimmed, forks, ...entries] = answer as [string, number, number, string, ...string[]];
    const messages: StoredMessage[] = [];
    for (let i = 0; i + 1 < entries.length; i += 2) {
      const message = JSON.parse(entries[i + 1] ?? "") as Message;
      messages.push({ ...message, offset: Number.parseInt(entries[i] ?? "", 10) });
    }
    return { epoch, head, trimmed, messages, forks: forksOf(forks) };
  }

  heads(channels: readonly string[]): Promise<readonly Head[]> {
    return Promise.all(
      channels.map(async (channel): Promise<Head> => {
        const keys: [string, string] = [this.#keys.meta(channel), this.#keys.log(channel)];
        const answer = await this.#calls.run(HEAD, keys, [this.#freshEpoch(), UNWRITTEN_MS]);
        const [epoch, offset, trimmed, forks] = answer as [string, number, number, string];
        return { epoch, offset, trimmed, forks: forksOf(forks) };
      }),
    );
  }

  async remove(channel: string): Promise<void> {
    await this.#calls.run(REMOVE, [this.#keys.meta(channel), this.#keys.log(channel)], [this.#freshEpoch()]);
  }
}

/** `e1:12,e2:30` */
function forksOf(text: string): readonly Position[] {
  return text === ""
    ? []
    : text.split(",").map((fork) => {
        const [epoch = "", offset = "0"] = fork.split(":");
        return { epoch, offset: Number(offset) };
      });
}
