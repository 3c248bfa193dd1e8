/** The owner's side: lets other processes of this machine call a backbone that lives in this one. */
import { createServer, type Server, type Socket } from "node:net";
import type { Clock } from "../../clock.ts";
import { BackboneError, type Backbone, type Frame } from "../contract.ts";
import { Lines } from "./lines.ts";
import { packFrame, unpackAppend } from "./packed.ts";
import { BULKY, CALLS, STANDING, WIRE, type Item } from "./wire.ts";

/** While more waits for a process, frames are dropped for it (it is told), and its calls wait. */
const MOST_WAITING = 16 * 1024 * 1024;
/** More calls than this wait in the socket, not here. */
const MOST_QUEUED = 10_000;

type Work = (...given: readonly unknown[]) => Promise<unknown>;

export class StoreServer {
  readonly #server: Server;
  readonly #callers = new Set<Caller>();

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Serves an open backbone at `place`, the path of a socket in a folder that only this user can enter. */
  static async listen(backbone: Backbone, place: string, clock: Clock): Promise<StoreServer> {
    const calls = callsOf(backbone);
    const frames = new FrameTexts();
    const server = createServer((socket) => {
      const caller = new Caller(socket, clock, backbone, calls, frames);
      listening.#callers.add(caller);
      socket.once("close", () => listening.#callers.delete(caller));
    });
    const listening = new StoreServer(server);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(place, () => {
        server.off("error", reject);
        resolve();
      });
    });
    return listening;
  }

  /** Cuts everybody off. The backbone stays open. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const caller of this.#callers) caller.end();
    await closed;
  }
}

/** One process that uses the store. */
class Caller {
  readonly #socket: Socket;
  readonly #lines: Lines;
  readonly #backbone: Backbone;
  readonly #calls: ReadonlyMap<string, Work>;
  readonly #frames: FrameTexts;
  readonly #stops = new Map<string, Promise<() => Promise<void>>>();
  #queued: Item[] = [];
  #working = false;
  /** Frames were dropped. */
  #skipped = false;
  #onDrain: (() => void) | undefined;
  #gone = false;

  constructor(socket: Socket, clock: Clock, backbone: Backbone, calls: ReadonlyMap<string, Work>, frames: FrameTexts) {
    this.#socket = socket;
    this.#backbone = backbone;
    this.#calls = calls;
    this.#frames = frames;
    this.#lines = new Lines(socket, clock, (items) => this.#take(items));
    socket.on("error", () => {});
    socket.on("drain", () => this.#drained());
    socket.once("close", () => this.#left());
    this.#lines.add(JSON.stringify(["store", WIRE]));
  }

  end(): void {
    this.#lines.flush();
    this.#socket.destroySoon();
  }

  #take(items: readonly Item[]): void {
    for (const item of items) this.#queued.push(item);
    if (!this.#working) void this.#work();
    if (this.#working && this.#queued.length > MOST_QUEUED) this.#socket.pause();
  }

  /** Begins the calls in their order. Few are waited for, so that those of one turn share a transaction. */
  async #work(): Promise<void> {
    this.#working = true;
    for (let items = this.#queued; items.length > 0; items = this.#queued) {
      this.#queued = [];
      for (const item of items) {
        if (this.#gone) return;
        const answered = this.#begin(item);
        if (BULKY.has(String(item[1]))) await answered;
        if (this.#lines.waiting > MOST_WAITING) await this.#untilDrained();
      }
    }
    this.#working = false;
    if (this.#socket.isPaused()) this.#socket.resume();
  }

  async #begin([id, call, ...given]: Item): Promise<void> {
    try {
      const result = await this.#do(String(call), given);
      this.#lines.add(JSON.stringify([id, result ?? null]));
    } catch (error) {
      const reason = error instanceof BackboneError ? error.reason : "invalid";
      const message = error instanceof Error ? error.message : String(error);
      this.#lines.add(JSON.stringify([id, null, reason, message]));
    }
  }

  #do(call: string, given: readonly unknown[]): Promise<unknown> {
    const name = String(given[0]);
    const { bus, log, queue } = this.#backbone;
    switch (call) {
      case "log.append":
        return log?.append(...unpackAppend(given)) ?? Promise.reject(new Error("there is no log"));
      case "bus.subscribe":
        return this.#hold(
          `bus ${name}`,
          bus?.subscribe(name, (frame) => this.#frame(name, frame)),
        );
      case "bus.unsubscribe":
        return this.#release(`bus ${name}`);
      case "queue.watch":
        return this.#hold(
          `queue ${name}`,
          queue?.watch(name, () => this.#lines.add(JSON.stringify(["job", name]))),
        );
      case "queue.unwatch":
        return this.#release(`queue ${name}`);
      default:
        return this.#calls.get(call)?.(...given) ?? Promise.reject(new Error(`there is no call ${call}`));
    }
  }

  async #hold(key: string, begun: Promise<() => Promise<void>> | undefined): Promise<void> {
    if (!begun) throw new Error(`there is no ${key}`);
    const before = this.#stops.get(key);
    this.#stops.set(key, begun);
    await begun;
    await (
      await before
    )?.();
  }

  async #release(key: string): Promise<void> {
    const begun = this.#stops.get(key);
    this.#stops.delete(key);
    await (
      await begun
    )?.();
  }

  #frame(channel: string, frame: Frame): void {
    if (this.#lines.waiting > MOST_WAITING) this.#skipped = true;
    else this.#lines.add(this.#frames.of(channel, frame));
  }

  #untilDrained(): Promise<void> {
    this.#socket.pause();
    this.#lines.flush();
    return new Promise((resolve) => (this.#onDrain = resolve));
  }

  #drained(): void {
    if (this.#skipped) {
      this.#skipped = false;
      this.#lines.add(JSON.stringify(["interrupted"]));
    }
    this.#onDrain?.();
    this.#onDrain = undefined;
  }

  #left(): void {
    this.#gone = true;
    this.#onDrain?.();
    for (const key of this.#stops.keys()) void this.#release(key).catch(() => {});
  }
}

/** A frame as text, made once however many processes it goes to: a bus hands the same object to one after the other. */
class FrameTexts {
  #frame: Frame | undefined;
  #text = "";

  of(channel: string, frame: Frame): string {
    if (this.#frame !== frame) {
      this.#frame = frame;
      this.#text = JSON.stringify(packFrame(channel, frame));
    }
    return this.#text;
  }
}

/** What can be called, each bound to its facet. */
function callsOf(backbone: Backbone): ReadonlyMap<string, Work> {
  const calls = new Map<string, Work>();
  for (const call of Object.keys(CALLS)) {
    if ((STANDING as readonly string[]).includes(call)) continue;
    const path = call.split(".");
    const method = path.pop() ?? "";
    let facet: object | undefined = backbone;
    for (const name of path) facet = facet && Reflect.get<object, string>(facet, name);
    if (!facet) continue;
    const work: Work = Reflect.get<object, string>(facet, method);
    calls.set(call, work.bind(facet));
  }
  return calls;
}
