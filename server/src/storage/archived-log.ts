/** A log that goes on in a storage where its own memory ends. */
import type {
  AppendOptions,
  Appended,
  ChannelPage,
  Head,
  Log,
  Message,
  Range,
  ReadOptions,
  StoredMessage,
} from "../backbones/contract.ts";
import type { Storage } from "./contract.ts";

export class ArchivedLog implements Log {
  readonly #log: Log;
  readonly #storage: Storage;
  readonly #written: (channel: string) => void;

  /** `written` hears of every channel that was appended to here. */
  constructor(log: Log, storage: Storage, written: (channel: string) => void) {
    this.#log = log;
    this.#storage = storage;
    this.#written = written;
  }

  async append(channel: string, message: Message, options: AppendOptions): Promise<Appended> {
    const appended = await this.#log.append(channel, message, options);
    this.#written(channel);
    return appended;
  }

  heads(channels: readonly string[]): Promise<readonly Head[]> {
    return this.#log.heads(channels);
  }

  channels(namespace: string, after?: string): Promise<ChannelPage> {
    return this.#log.channels(namespace, after);
  }

  /** Forgets what was archived as well. */
  async remove(channel: string): Promise<void> {
    await this.#log.remove(channel);
    const [head] = await this.#log.heads([channel]);
    if (head) await this.#storage.remove(channel, { epoch: head.epoch, offset: head.offset });
  }

  async read(channel: string, options: ReadOptions): Promise<Range> {
    const range = await this.#log.read(channel, options);
    return options.reverse === true ? this.#backward(channel, range, options) : this.#forward(channel, range, options);
  }

  async #forward(channel: string, range: Range, { after = 0, limit, maxBytes }: ReadOptions): Promise<Range> {
    if (after >= range.trimmed) return range;
    const size = maxBytes === undefined ? { limit } : { limit, maxBytes };
    const kept = await this.#storage.read(channel, range, { after, ...size });
    const older = kept.messages.filter(({ offset }) => offset <= range.trimmed);
    const seamless = kept.to >= range.trimmed;
    // Nothing is archived there, or not yet: the gap is the log's.
    if (older.length === 0 && !seamless) return range;
    return { ...range, trimmed: kept.from, messages: seamless ? joined(older, range.messages, size) : older };
  }

  /** What the log has is newer than what it has dropped, so that the storage is asked for the rest only. */
  async #backward(channel: string, range: Range, { after, limit, maxBytes }: ReadOptions): Promise<Range> {
    const before = Math.min(after ?? Number.MAX_SAFE_INTEGER, range.trimmed + 1);
    const left = limit - range.messages.length;
    const full = maxBytes !== undefined && bytesOf(range.messages) >= maxBytes;
    if (left <= 0 || full || before <= 1) return range;
    const kept = await this.#storage.read(channel, range, {
      after: before,
      reverse: true,
      limit: left,
      ...(maxBytes !== undefined && { maxBytes: maxBytes - bytesOf(range.messages) }),
    });
    return { ...range, messages: [...range.messages, ...kept.messages] };
  }
}

/** As many of both as are wanted. */
function joined(
  older: readonly StoredMessage[],
  newer: readonly StoredMessage[],
  { limit, maxBytes = Number.POSITIVE_INFINITY }: { readonly limit: number; readonly maxBytes?: number },
): readonly StoredMessage[] {
  const messages = [...older];
  let bytes = bytesOf(older);
  for (const message of newer) {
    if (messages.length >= limit || bytes >= maxBytes) break;
    messages.push(message);
    bytes += Buffer.byteLength(message.data);
  }
  return messages;
}

function bytesOf(messages: readonly StoredMessage[]): number {
  return messages.reduce((sum, { data }) => sum + Buffer.byteLength(data), 0);
}
