/**
 * One channel as this gateway follows it: attached to the bus once, whatever the number of subscribers, and delivering
 * to the live ones in the order of the log. The bus may lose, repeat and reorder: the feed only trusts `prev`, and reads
 * the log for what is missing.
 */
import { RecentIds, type Epoch, type Position } from "@todoku/protocol";
import type { Frame, FrameListener, Log, Message, Range, ReadOptions } from "../backbones/contract.ts";
import type { Clock } from "../clock.ts";
import type { Namespace } from "../namespaces/namespace.ts";
import type { LogReads } from "./log-reads.ts";
import type { GatewayObserver } from "./observer.ts";
import { Receivers } from "./receivers.ts";
import { SharedPublication, SharedPublications, signalParcel } from "./shared-publication.ts";

/** A piece of the log, ready to be sent. */
export interface Stretch extends Epoch {
  readonly publications: SharedPublications;
  readonly head: number;
  readonly trimmed: number;
}

/** What all who stand at the same place read. */
interface Reading {
  /** Resolves when it is their turn; undefined: it has come. */
  turn: Promise<void> | undefined;
  stretch: Promise<Stretch> | undefined;
}

/** How much of the log is read at once. */
export const STRETCH_MESSAGES = 256;
const STRETCH_BYTES = 256 * 1024;
/** What a message is beside its data, as long as it is on its way. */
const MESSAGE_BYTES = 200;
const REPAIR_RETRY_MS = 500;
/** Of a channel without a log. */
const NOTHING: Stretch = { epoch: "", publications: new SharedPublications([]), head: 0, trimmed: 0 };

type ReadAfter = ReadOptions & { readonly after: number };

export class Feed {
  readonly channel: string;
  readonly namespace: Namespace;
  readonly receivers: Receivers = new Receivers();
  readonly #observer: GatewayObserver;
  readonly #clock: Clock;
  readonly #logReads: LogReads;
  /** Under way, by the place. Absent while there are none: there may be very many channels. */
  #readings: Map<string, Reading> | undefined;
  #position: Position | undefined;
  #detach: (() => Promise<void>) | undefined;
  #early: Frame[] | undefined = [];
  #forks: readonly Position[] | undefined;
  #repairing = false;
  #repairAgain = false;
  #cancelRetry: (() => void) | undefined;
  #recent: RecentIds | undefined;
  #closed = false;

  constructor(channel: string, namespace: Namespace, clock: Clock, observer: GatewayObserver, logReads: LogReads) {
    this.channel = channel;
    this.namespace = namespace;
    this.#clock = clock;
    this.#observer = observer;
    this.#logReads = logReads;
  }

  /** How far live delivery has come; undefined on channels without a log. */
  get position(): Position | undefined {
    return this.#position;
  }

  /** Older epochs that the log goes on with, as last seen; undefined where a new epoch always means a new history. */
  get forks(): readonly Position[] | undefined {
    return this.#forks;
  }

  /** Attaches to the bus, then learns where the log stands. Rejects with the backbone's error. */
  async open(): Promise<void> {
    const { bus, log, rules } = this.namespace;
    const detach = await bus.subscribe(this.channel, this.#listener(), rules);
    if (this.#closed) return detach();
    this.#detach = detach;
    if (log) this.#position = await this.#head(log);
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const frame of early) this.#receive(frame);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelRetry?.();
    await this.#detach?.();
  }

  /**
   * Resolves when it is the turn of who stands there to read; undefined: it is now. It passes, if nobody reads at once.
   *
   * Thousands who resume at once wait here and not in `read`, and have a function that did not wait itself read for them: what has
   * waited in memory has grown old, and what is read would hang on an old promise until V8 next collects all garbage, long after
   * it was sent.
   */
  turn(
    position: Position,
    limit: number = STRETCH_MESSAGES,
    maxBytes: number = STRETCH_BYTES,
  ): Promise<void> | undefined {
    const { log } = this.namespace;
    return log && this.#reading(log, keyOf(position, limit, maxBytes)).turn;
  }

  /**
   * Reads after a position, when it is its turn. Readers that stand at the same place share one read and its encoded bytes; not
   * those in another epoch, for what they began to read may be older than what this reader has seen already.
   */
  read(position: Position, limit: number = STRETCH_MESSAGES, maxBytes: number = STRETCH_BYTES): Promise<Stretch> {
    const { log } = this.namespace;
    if (!log) return Promise.resolve(NOTHING);
    const key = keyOf(position, limit, maxBytes);
    const reading = this.#reading(log, key);
    return (reading.stretch ??= this.#readIn(log, reading, key, { after: position.offset, limit, maxBytes }));
  }

  /** The log's head as the beacon saw it. */
  compare(head: Position): void {
    const at = this.#position;
    if (at && (head.epoch !== at.epoch || head.offset > at.offset)) this.#repair();
  }

  async #head(log: Log): Promise<Position> {
    const [head] = await log.heads([this.channel]);
    if (!head) throw new Error(`the log gave no head for ${this.channel}`);
    this.#forks = head.forks;
    return { epoch: head.epoch, offset: head.offset };
  }

  /** Apart from `open`, so that it keeps nothing else alive: there are as many as channels. */
  #listener(): FrameListener {
    return (frame) => this.#receive(frame);
  }

  #receive(frame: Frame): void {
    if (this.#early) {
      this.#early.push(frame);
    } else if (frame.kind === "signal") {
      const parcel = signalParcel(this.channel, frame.signal);
      for (const receiver of this.receivers) receiver.signal(parcel);
    } else if (frame.kind === "interrupted") {
      if (this.namespace.log) this.#repair();
    } else if (frame.kind === "malformed") {
      this.#observer.malformed(this.namespace);
    } else if (frame.kind === "foreign") {
      this.#takeIn(frame.data);
    } else if (!this.namespace.log) {
      if (this.#isNew(frame.message)) this.#deliver(new SharedPublication(this.channel, frame.message));
    } else {
      this.#follow(frame);
    }
  }

  /** Without a log nothing else shows that a bus repeats a frame. */
  #isNew({ id }: Message): boolean {
    return this.namespace.once || (this.#recent ??= new RecentIds()).admit(id);
  }

  /** Another program's message, put on the broker's own channel. Where a log is the truth, the bus is no way in. */
  #takeIn(data: string): void {
    if (this.namespace.log || data.length > this.namespace.messageBytes) {
      this.#observer.malformed(this.namespace);
      return;
    }
    // In a frame a newline ends an object. In JSON text it stands between values only.
    const oneLine = data.replaceAll("\n", " ");
    const message = { id: this.#clock.uuid(), time: this.#clock.now(), data: oneLine };
    this.#deliver(new SharedPublication(this.channel, message));
  }

  #follow({ message, position, prev }: Extract<Frame, { kind: "message" }>): void {
    const at = this.#position;
    if (!at) return;
    if (position?.epoch === at.epoch && position.offset <= at.offset) return;
    if (position?.epoch === at.epoch && prev === at.offset && !this.#repairing) {
      this.#position = position;
      this.#deliver(new SharedPublication(this.channel, message, position, prev));
    } else {
      this.#repair();
    }
  }

  #deliver(publication: SharedPublication): void {
    const receivers = this.receivers.offer(publication);
    this.#observer.delivered(this.namespace, receivers, this.#clock.now() - publication.message.time);
  }

  /** Reads what the bus did not tell, and delivers it. One repair at a time; frames that come meanwhile ask for another round. */
  #repair(): void {
    this.#repairAgain = true;
    if (this.#repairing || this.#closed || this.#cancelRetry) return;
    this.#observer.caughtUp(this.namespace, "repair");
    this.#repairing = true;
    this.#readMissing().catch((error: unknown) => {
      this.#observer.backboneFailed(this.namespace, "read", error);
      if (this.#closed) return;
      this.#cancelRetry = this.#clock.after(REPAIR_RETRY_MS, () => {
        this.#cancelRetry = undefined;
        this.#repair();
      });
    });
  }

  async #readMissing(): Promise<void> {
    try {
      while (this.#repairAgain && !this.#closed) {
        this.#repairAgain = false;
        if (await this.#readOn()) this.#repairAgain = true;
      }
    } finally {
      this.#repairing = false;
    }
  }

  /** Delivers one stretch of the log; returns whether there is more. */
  async #readOn(): Promise<boolean> {
    const at = this.#position;
    if (!at) return false;
    const { epoch, publications, head, trimmed } = await this.read(at);
    if (this.#closed) return false;
    if (epoch !== at.epoch || trimmed > at.offset) {
      // Every subscriber finds in the log what that means for it, and is live again when it stands at the head.
      this.#position = { epoch, offset: head };
      for (const receiver of this.receivers) receiver.skipped();
      return true;
    }
    let reached = at;
    for (const publication of publications.list) {
      reached = publication.position ?? reached;
      this.#position = reached;
      this.#deliver(publication);
    }
    return publications.list.length > 0 && reached.offset < head;
  }

  #reading(log: Log, key: string): Reading {
    const readings = (this.#readings ??= new Map<string, Reading>());
    const known = readings.get(key);
    if (known) return known;
    const reading: Reading = { turn: undefined, stretch: undefined };
    const begin = (): void => {
      reading.turn = undefined;
      this.#clock.soon(() => {
        if (reading.stretch !== undefined || this.#readings?.get(key) !== reading) return;
        this.#forget(key);
        this.#logReads.done(log);
      });
    };
    const turn = this.#logReads.take(log);
    if (turn) reading.turn = turn.then(begin);
    else begin();
    readings.set(key, reading);
    return reading;
  }

  async #readIn(log: Log, reading: Reading, key: string, options: ReadAfter): Promise<Stretch> {
    if (reading.turn) await reading.turn;
    let bytes: number | undefined;
    try {
      const range = await log.read(this.channel, options);
      bytes = sizeOf(range);
      return this.#stretch(range, options.after);
    } finally {
      reading.stretch = undefined;
      this.#forget(key);
      this.#logReads.done(log, bytes);
    }
  }

  #forget(key: string): void {
    this.#readings?.delete(key);
    if (this.#readings?.size === 0) this.#readings = undefined;
  }

  #stretch({ epoch, forks, messages, head, trimmed }: Range, after: number): Stretch {
    // Whoever reads may be the first to see a new epoch.
    if (this.#position && this.#position.epoch !== epoch) this.#repair();
    this.#forks = forks;
    let prev = Math.max(after, trimmed);
    const publications = messages.map((message) => {
      const publication = new SharedPublication(this.channel, message, { epoch, offset: message.offset }, prev);
      prev = message.offset;
      return publication;
    });
    return { epoch, publications: new SharedPublications(publications), head, trimmed, ...(forks && { forks }) };
  }
}

function keyOf({ epoch, offset }: Position, limit: number, maxBytes: number): string {
  return `${offset}/${limit}/${maxBytes}/${epoch}`;
}

function sizeOf({ messages }: Range): number {
  return messages.reduce((sum, { data }) => sum + data.length + MESSAGE_BYTES, 0);
}
