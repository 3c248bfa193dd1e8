/**
 * Copies what a namespace's log keeps into its storage: one archiver at a time among all processes, each channel from where it
 * stands. Publishing never waits for it. What it is told of is copied at once; what nobody told it of is found by looking through
 * the channels from time to time.
 */
import { inEpoch, sharedHistory } from "@todoku/protocol";
import type { ChannelRead, Head, Log, Range } from "../backbones/contract.ts";
import type { Clock } from "../clock.ts";
import type { Namespace } from "../namespaces/namespace.ts";
import type { Duty, Standing, Storage, Stretch } from "./contract.ts";

/** What an archiver tells about its work. */
export interface ArchiveObserver {
  /** So many messages were archived. */
  archived(namespace: Namespace, messages: number): void;
  /** The oldest message that is not archived yet was accepted so long ago; 0: all are. */
  archiveLag(namespace: Namespace, ms: number): void;
  /** The log has dropped what was not archived yet. */
  archiveMissed(namespace: Namespace, channel: string, from: number, to: number): void;
  /** The log will drop soon what is not archived yet. */
  archiveLate(namespace: Namespace, channel: string, why: string): void;
  backboneFailed(namespace: Namespace, operation: string, error: unknown): void;
}

export interface ArchiverOptions {
  readonly namespace: Namespace;
  readonly log: Log;
  readonly storage: Storage;
  readonly clock: Clock;
  readonly observer: ArchiveObserver;
  /** Where hints come from. */
  listen(heard: (channels: readonly string[]) => void): Promise<() => Promise<void>>;
  /** How long the storage keeps messages, in ms; absent: for ever. */
  readonly keepMs?: number;
}

const CHANNELS_AT_ONCE = 100;
/** Where channels share a log, and are read together. */
const CHANNELS_TOGETHER = 5000;
const MESSAGES_TOGETHER = 5000;
const BYTES_TOGETHER = 8 * 1024 * 1024;
const MESSAGES_PER_CHANNEL = 1000;
const BYTES_PER_CHANNEL = 1024 * 1024;
const LOOK_MS = 30_000;
const AGAIN_MS = 1000;
const DUTY_MS = 3000;
const STOP_MS = 2000;
const FORGET_MS = 3_600_000;
const WARN_MS = 60_000;
/** Channels that are known to wait, and channels whose standings are known without asking; clients may choose names. */
const REMEMBERED = 100_000;
/** Of the retention: what is not archived by then is warned of. */
const LATE = 0.5;

/** Where a channel is read from. */
interface Place extends ChannelRead {
  readonly standing: Standing | undefined;
}

/** What was read there. */
interface Reading extends Place {
  readonly range: Range;
}

/** A piece of a channel's log on its way into the storage. */
interface Piece {
  readonly channel: string;
  /** Absent: nothing of it was read. */
  readonly stretch?: Stretch;
  /** There is more to read. */
  readonly more: boolean;
  /** What the log has dropped before it was archived. */
  readonly missed?: { readonly from: number; readonly to: number };
}

export class Archiver {
  readonly #options: ArchiverOptions;
  /** Channels that are not archived up to their heads, each with the time since when; ms since 1970. */
  readonly #behind = new Map<string, number>();
  /** Where channels stood when the storage last said so. */
  readonly #stood = new Map<string, Standing>();
  #wake: () => void = () => {};
  #deaf: (() => Promise<void>) | undefined;
  #stopped = false;
  #mine = false;
  #run: Promise<void> = Promise.resolve();
  #nextLook = 0;
  #nextForget = 0;
  #nextWarning = 0;

  constructor(options: ArchiverOptions) {
    this.#options = options;
  }

  start(): void {
    this.#run = this.#serve();
  }

  /** Resolves when nothing is under way any more, or the storage is not worth waiting for: nothing is written twice. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake();
    const { promise: impatient, resolve } = Promise.withResolvers<void>();
    const cancel = this.#options.clock.after(STOP_MS, resolve);
    await Promise.race([this.#run, impatient]);
    cancel();
  }

  async #serve(): Promise<void> {
    const { storage, namespace } = this.#options;
    while (!this.#stopped) {
      try {
        const duty = await storage.take(`archive ${namespace.name}`);
        if (duty) await this.#whileMine(duty);
        else await this.#rest();
      } catch (error) {
        await this.#failed(error);
      }
      await this.#pause(DUTY_MS);
    }
    await this.#rest();
  }

  async #whileMine(duty: Duty): Promise<void> {
    this.#mine = true;
    const lose = (): void => {
      this.#mine = false;
      this.#wake();
    };
    void duty.lost.then(lose);
    try {
      await this.#follow();
      this.#nextLook = 0;
      while (this.#mine && !this.#stopped) await this.#turn();
    } finally {
      await duty.giveUp();
    }
  }

  /** Listens to what is written, also while the storage is away: somebody must know how much waits. */
  async #follow(): Promise<void> {
    this.#deaf ??= await this.#options.listen((channels) => {
      for (const channel of channels) this.#note(channel);
      this.#wake();
    });
  }

  /** Another process archives. */
  async #rest(): Promise<void> {
    const { namespace, observer } = this.#options;
    const deaf = this.#deaf;
    this.#deaf = undefined;
    this.#behind.clear();
    this.#stood.clear();
    observer.archiveLag(namespace, 0);
    await deaf?.().catch(() => {});
  }

  async #failed(error: unknown): Promise<void> {
    const { namespace, observer } = this.#options;
    observer.backboneFailed(namespace, "archive", error);
    try {
      await this.#follow();
    } catch (deafness) {
      observer.backboneFailed(namespace, "subscribe", deafness);
    }
    observer.archiveLag(namespace, this.#lag());
    await this.#warn();
  }

  async #turn(): Promise<void> {
    const { log, clock, namespace, observer } = this.#options;
    try {
      if (clock.now() >= this.#nextLook) await this.#look();
      await this.#forget();
      const atOnce = log.readMany ? CHANNELS_TOGETHER : CHANNELS_AT_ONCE;
      const channels = [...this.#behind.keys()].slice(0, atOnce);
      if (channels.length > 0) await this.#archive(channels);
      observer.archiveLag(namespace, this.#lag());
      if (this.#behind.size === 0) await this.#pause(this.#nextLook - clock.now());
    } catch (error) {
      await this.#failed(error);
      await this.#pause(AGAIN_MS);
    }
  }

  /** Finds the channels that are not archived up to their heads. */
  async #look(): Promise<void> {
    const { log, storage, namespace, clock } = this.#options;
    let next: string | undefined;
    do {
      const page = await log.channels(namespace.name, next);
      for (let i = 0; i < page.channels.length; i += CHANNELS_AT_ONCE) {
        const channels = page.channels.slice(i, i + CHANNELS_AT_ONCE);
        const [heads, standings] = await Promise.all([log.heads(channels), storage.standings(channels)]);
        for (const [at, channel] of channels.entries()) {
          const [head, standing] = [heads[at], standings[at]];
          if (head && !(standing && inEpoch(standing, head)?.offset === head.offset)) this.#note(channel);
        }
      }
      next = page.next;
    } while (next !== undefined && !this.#stopped);
    this.#nextLook = clock.now() + LOOK_MS;
  }

  async #archive(channels: readonly string[]): Promise<void> {
    const { storage, namespace, observer } = this.#options;
    const standings = await storage.standings(channels);
    // Whoever writes from now on says so again.
    const since = new Map(channels.map((channel) => [channel, this.#behind.get(channel)]));
    for (const channel of channels) this.#behind.delete(channel);
    const pieces: Piece[] = [];
    try {
      pieces.push(...(await this.#read(channels, standings)));
      const stretches = pieces.flatMap(({ stretch }) => stretch ?? []);
      if (stretches.length > 0) await storage.write(stretches);
    } catch (error) {
      for (const [channel, time] of since) this.#note(channel, time);
      throw error;
    }
    for (const { channel, stretch, more, missed } of pieces) {
      if (stretch) this.#remember({ channel, epoch: stretch.epoch, offset: stretch.upTo });
      if (more) this.#note(channel, stretch?.messages.at(-1)?.time ?? since.get(channel));
      if (missed) observer.archiveMissed(namespace, channel, missed.from, missed.to);
    }
    observer.archived(
      namespace,
      pieces.reduce((sum, { stretch }) => sum + (stretch?.messages.length ?? 0), 0),
    );
  }

  /** What follows in the log, of those channels of which something does. */
  async #read(channels: readonly string[], standings: readonly (Standing | undefined)[]): Promise<readonly Piece[]> {
    const begun = await this.#ranges(
      channels.map((channel, i) => ({ channel, standing: standings[i], after: standings[i]?.offset ?? 0 })),
    );
    const anew = begun.filter((reading) => !isInPlace(reading));
    const again = await this.#ranges(anew.map((reading) => ({ ...reading, after: knownIn(reading) ?? 0 })));
    return [...begun.filter(isInPlace), ...again].map(pieceOf).filter((piece) => piece !== undefined);
  }

  async #ranges(places: readonly Place[]): Promise<readonly Reading[]> {
    const { log } = this.#options;
    if (places.length === 0) return [];
    const ranges = log.readMany
      ? await log.readMany(places, { limit: MESSAGES_TOGETHER, maxBytes: BYTES_TOGETHER })
      : await Promise.all(
          places.map(({ channel, after }) =>
            log.read(channel, { after, limit: MESSAGES_PER_CHANNEL, maxBytes: BYTES_PER_CHANNEL }),
          ),
        );
    return places.flatMap((place, i) => {
      const range = ranges[i];
      return range ? [{ ...place, range }] : [];
    });
  }

  async #forget(): Promise<void> {
    const { storage, keepMs, clock } = this.#options;
    const now = clock.now();
    if (keepMs === undefined || now < this.#nextForget) return;
    await storage.forget(now - keepMs);
    this.#nextForget = now + FORGET_MS;
  }

  /** Says which channels the log will trim before they are archived, if this goes on. */
  async #warn(): Promise<void> {
    const { log, clock, namespace, observer } = this.#options;
    const now = clock.now();
    if (now < this.#nextWarning) return;
    const { ageMs = Infinity, messages = Infinity } = namespace.retention;
    const channels = [...this.#behind.keys()].slice(0, CHANNELS_AT_ONCE);
    const heads = await log.heads(channels).catch((): readonly Head[] => []);
    for (const [i, channel] of channels.entries()) {
      const waited = now - (this.#behind.get(channel) ?? now);
      const stood = this.#stood.get(channel);
      const left = (heads[i]?.offset ?? 0) - (stood?.offset ?? 0);
      if (waited <= LATE * ageMs && left <= LATE * messages) continue;
      observer.archiveLate(
        namespace,
        channel,
        waited > LATE * ageMs ? `for ${Math.round(waited / 1000)} s` : `${left} messages`,
      );
      this.#nextWarning = now + WARN_MS;
      return;
    }
  }

  /** Beyond the bound a channel is left out: it is found by the next look that has room. */
  #note(channel: string, since: number = this.#options.clock.now()): void {
    if (this.#behind.size >= REMEMBERED && !this.#behind.has(channel)) return;
    this.#behind.set(channel, Math.min(since, this.#behind.get(channel) ?? since));
  }

  #remember(standing: Standing): void {
    this.#stood.delete(standing.channel);
    this.#stood.set(standing.channel, standing);
    if (this.#stood.size <= REMEMBERED) return;
    for (const oldest of this.#stood.keys()) {
      this.#stood.delete(oldest);
      return;
    }
  }

  /** In ms. */
  #lag(): number {
    let oldest = Infinity;
    for (const since of this.#behind.values()) oldest = Math.min(oldest, since);
    return oldest === Infinity ? 0 : Math.max(0, this.#options.clock.now() - oldest);
  }

  /** Until `ms` have passed, or somebody wakes it. */
  async #pause(ms: number): Promise<void> {
    if (this.#stopped) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const cancel = this.#options.clock.after(Math.max(0, ms), resolve);
    await promise;
    cancel();
  }
}

/** Up to where the present epoch's history is archived; undefined: nothing of the channel ever was. */
function knownIn({ standing, range }: Reading): number | undefined {
  return standing && (inEpoch(standing, range)?.offset ?? sharedHistory(standing, range));
}

/** Whether it was read from where it goes on: in an epoch that shares a part of the old one only, that is not where it stood. */
function isInPlace(reading: Reading): boolean {
  return (knownIn(reading) ?? 0) === reading.after;
}

/** Undefined: nothing follows. */
function pieceOf(reading: Reading): Piece | undefined {
  const { channel, standing, range } = reading;
  // The epoch has changed again meanwhile.
  if (!isInPlace(reading)) return { channel, more: true };
  const known = knownIn(reading);
  const after = Math.max(reading.after, range.trimmed);
  const upTo = range.messages.at(-1)?.offset ?? after;
  const { epoch, forks, messages, head } = range;
  const more = upTo < head;
  if (standing?.epoch === epoch && upTo <= standing.offset) return more ? { channel, more } : undefined;
  return {
    channel,
    stretch: { channel, epoch, ...(forks && { forks }), after, upTo, messages },
    more,
    ...(known !== undefined && after > known && { missed: { from: known, to: after } }),
  };
}
