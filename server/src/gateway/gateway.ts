/** The gateway: takes connections in, and sends them elsewhere when it must go. It holds no truth. */
import { CLOSES } from "@todoku/protocol";
import type { Authenticator } from "../auth/authenticator.ts";
import type { Bus } from "../backbones/contract.ts";
import { RateLimiter } from "../auth/rate.ts";
import type { Clock } from "../clock.ts";
import type { Config } from "../config.ts";
import type { Hooks } from "../hooks.ts";
import type { Namespaces } from "../namespaces/namespace.ts";
import type { Publisher } from "../namespaces/publisher.ts";
import { Dispatchers } from "../queues/dispatchers.ts";
import { Backlog } from "./backlog.ts";
import type { GatewayContext } from "./context.ts";
import { FleetOperations } from "./fleet/fleet-operations.ts";
import { DurableSubscriptions } from "./durable-subscriptions.ts";
import { Heartbeat } from "./heartbeat.ts";
import { Hub } from "./hub.ts";
import { LocalOperations } from "./local-operations.ts";
import type { GatewayObserver } from "./observer.ts";
import type { Operations } from "./operations.ts";
import { Flusher } from "./outbox.ts";
import { Session } from "./session.ts";
import { Sessions } from "./sessions.ts";
import type { Handshake, Socket, SocketEvents } from "./socket.ts";

/** A drain waits so long for the commands of one connection. */
const DRAIN_PATIENCE_MS = 5000;

export interface GatewayOptions {
  readonly limits: Config["client"];
  readonly insecure: boolean;
  /** The program's version, told to clients. */
  readonly version: string;
  /** The name of this gateway in `info`. */
  readonly name: string;
  readonly clock: Clock;
  readonly observer: GatewayObserver;
  readonly hooks: Hooks;
  readonly authenticator?: Authenticator;
  readonly namespaces: Namespaces;
  readonly publisher: Publisher;
  /** A bus that all gateways share; absent: this one is alone. */
  readonly fleetBus?: Bus;
}

export class Gateway {
  readonly operations: Operations;
  readonly #context: GatewayContext;
  readonly #fleet: FleetOperations | undefined;
  /** What connections that are over still have to do. */
  readonly #ending = new Set<Promise<void>>();

  constructor({ name, fleetBus, ...options }: GatewayOptions) {
    const { clock, observer, limits } = options;
    const { rate } = limits;
    const uid = clock.uuid();
    const backlog = new Backlog(limits.queue_bytes_total ?? Number.POSITIVE_INFINITY);
    const operations = (): Operations => this.operations;
    this.#context = {
      ...options,
      get operations() {
        return operations();
      },
      hub: new Hub(clock, observer, limits.beacon),
      durables: new DurableSubscriptions((key, fence) => this.#fleet?.claimed(key, fence)),
      dispatchers: new Dispatchers(clock, (...about) => observer.backboneFailed(...about)),
      ending: (work) => {
        this.#ending.add(work);
        void work.finally(() => this.#ending.delete(work));
      },
      open: new Set(),
      sessions: new Sessions(),
      heartbeat: new Heartbeat(clock, limits.ping, limits.pong),
      backlog,
      flusher: new Flusher(clock, backlog, () => this.#shed()),
      rates: {
        commands: new RateLimiter(clock, rate.commands),
        publish: new RateLimiter(clock, rate.publish),
        subscribe: new RateLimiter(clock, rate.subscribe),
        user: new RateLimiter(clock, rate.user),
      },
    };
    const local = new LocalOperations(this.#context, name, uid);
    this.#fleet =
      fleetBus &&
      new FleetOperations(local, {
        uid,
        clock,
        bus: fleetBus,
        onClaimed: (key, fence) => this.#context.durables.claimedElsewhere(key, fence),
        failed: (error) => observer.backboneFailed(undefined, "fleet", error),
      });
    this.operations = this.#fleet ?? local;
  }

  /** Connections that are open now, authenticated or not. */
  get connections(): number {
    return this.#context.open.size;
  }

  /** Bytes that wait to be sent: to all connections, and to the one for which most waits. Looks at each of them. */
  waiting(): { readonly total: number; readonly largest: number } {
    let total = 0;
    let largest = 0;
    for (const { outbox } of this.#context.open) {
      total += outbox.waitingBytes;
      largest = Math.max(largest, outbox.waitingBytes);
    }
    return { total, largest };
  }

  start(): void {
    this.#context.hub.start();
    this.#context.heartbeat.start();
  }

  /** Makes itself known to the other gateways. Rejects with the backbone's error. */
  async join(): Promise<void> {
    await this.#fleet?.start();
  }

  /** Takes a connection in. */
  accept(socket: Socket, handshake: Handshake): SocketEvents {
    return new Session(this.#context, socket, handshake);
  }

  /**
   * Sends all clients elsewhere, evenly over `ms`. Each connection's commands are finished and answered before it is
   * closed, unless they take more than five seconds. Resolves when every connection has been told and everything acknowledged
   * is stored. The listener must have stopped accepting before.
   */
  async drain(ms: number): Promise<void> {
    const sessions = [...this.#context.open];
    const step = ms / Math.max(1, sessions.length);
    await Promise.all(sessions.map((session, i) => this.#sendAway(session, i * step)));
    await this.#context.durables.flushed();
  }

  /** Ends what is still open, at once, and lets go of all channels. */
  async stop(): Promise<void> {
    for (const session of this.#context.open) session.end(CLOSES.shutdown);
    this.#context.heartbeat.stop();
    await Promise.all(this.#ending);
    await this.#context.dispatchers.ended();
    await this.#context.durables.flushed();
    await this.#fleet?.stop();
    await this.#context.hub.stop();
  }

  /** Cuts those for which most waits, until all together wait for no more than they may. */
  #shed(): void {
    const { open, backlog } = this.#context;
    const waiting = [...open].map((session) => ({ session, bytes: session.outbox.recount() }));
    waiting.sort((a, b) => b.bytes - a.bytes);
    let left = waiting.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { session, bytes } of waiting) {
      if (left <= backlog.limit) break;
      session.cut(CLOSES.slow);
      left -= bytes;
    }
  }

  async #sendAway(session: Session, afterMs: number): Promise<void> {
    const { clock } = this.#context;
    if (afterMs > 0) await new Promise<void>((resolve) => clock.after(afterMs, resolve));
    session.refuseCommands();
    await new Promise<void>((resolve) => {
      const cancel = clock.after(DRAIN_PATIENCE_MS, resolve);
      void session.idle().then(() => {
        cancel();
        resolve();
      });
    });
    session.end(CLOSES.shutdown);
  }
}
