/** The simulated network between clients and gateways: who can reach whom, how fast, and what goes wrong. */
import type { Handshake, Socket, SocketEvents } from "../../server/src/gateway/socket.ts";
import { Connection, type ClientEvents, type Line } from "./connection.ts";
import type { Dice } from "./dice.ts";
import type { Journal } from "./journal.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** A gateway that can be connected to. */
export interface Door {
  readonly name: string;
  accept(socket: Socket, handshake: Handshake): SocketEvents;
}

export interface NetworkOptions {
  /** The mean time that a frame travels, ms. */
  readonly latencyMs: number;
  /** Share of the connections that are slow to carry bytes. */
  readonly slowLines: number;
  /** Chance that an attempt to connect is never answered. */
  readonly unanswered: number;
}

const SLOW_BYTES_PER_MS = [1, 5, 50] as const;

export class Network {
  readonly connections: Set<Connection> = new Set();
  readonly #time: VirtualTime;
  readonly #dice: Dice;
  readonly #journal: Journal;
  #options: NetworkOptions;
  readonly #doors = new Map<Door, Set<Connection>>();
  #count = 0;

  constructor(time: VirtualTime, dice: Dice, journal: Journal, options: NetworkOptions) {
    this.#time = time;
    this.#dice = dice;
    this.#journal = journal;
    this.#options = options;
  }

  /** From now on clients may reach this gateway. */
  open(door: Door): void {
    this.#doors.set(door, new Set());
  }

  /** No new connections to it; those that are there stay. Returns them. */
  close(door: Door): ReadonlySet<Connection> {
    const there = this.#doors.get(door) ?? new Set();
    this.#doors.delete(door);
    return there;
  }

  /** All lines are good from now on. What has vanished stays so: its ends must find out. */
  heal(): void {
    this.#options = { ...this.#options, slowLines: 0, unanswered: 0 };
    for (const connection of this.connections) connection.widen();
  }

  /** A client dials; one of the gateways answers, as behind a load balancer. */
  connect(client: string, events: ClientEvents): Connection {
    const slow = this.#dice.chance(this.#options.slowLines);
    const line: Line = {
      latencyMs: this.#options.latencyMs * this.#dice.between(0.2, 1.8),
      jitterMs: this.#options.latencyMs * this.#dice.pick([0, 0.1, 2]),
      bytesPerMs: slow ? this.#dice.pick(SLOW_BYTES_PER_MS) : Number.POSITIVE_INFINITY,
    };
    const connection = new Connection(
      `${client}#${++this.#count}`,
      { time: this.#time, dice: this.#dice, journal: this.#journal, line },
      events,
      () => this.#forget(connection),
    );
    this.connections.add(connection);
    if (this.#dice.chance(this.#options.unanswered)) {
      this.#journal.note(() => `${connection.name} is not answered`);
      connection.vanish();
    } else {
      this.#time.after(connection.travelMs, () => this.#reach(connection));
    }
    return connection;
  }

  #reach(connection: Connection): void {
    if (!connection.whole) return;
    const doors = [...this.#doors.keys()];
    if (doors.length === 0) {
      connection.loseGateway(true);
      return;
    }
    const door = this.#dice.pick(doors);
    this.#journal.note(() => `${connection.name} reaches ${door.name}`);
    this.#doors.get(door)?.add(connection);
    connection.accept(door.accept(connection.socket, { address: "10.0.0.1" }));
  }

  #forget(connection: Connection): void {
    this.connections.delete(connection);
    for (const there of this.#doors.values()) there.delete(connection);
  }
}
