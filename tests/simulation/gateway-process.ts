/** One simulated gateway process: a real gateway with its own clock and its own link to the broker. */
import { TodokuError } from "@todoku/protocol";
import { BackboneError } from "../../server/src/backbones/contract.ts";
import type { Config } from "../../server/src/config.ts";
import { Gateway } from "../../server/src/gateway/gateway.ts";
import { silentObserver, type GatewayObserver } from "../../server/src/gateway/observer.ts";
import type { Handshake, Socket, SocketEvents } from "../../server/src/gateway/socket.ts";
import type { ConnectAttempt } from "../../server/src/hooks.ts";
import type { Namespaces } from "../../server/src/namespaces/namespace.ts";
import { openNamespaces } from "../../server/src/namespaces/open.ts";
import { Publisher } from "../../server/src/namespaces/publisher.ts";
import { BrokerLink, type Weather } from "./broker-link.ts";
import type { Broker } from "./broker.ts";
import type { Dice } from "./dice.ts";
import type { Findings } from "./findings.ts";
import type { Journal } from "./journal.ts";
import type { Door, Network } from "./network.ts";
import type { Sabotage } from "./sabotage.ts";
import { ProcessClock, type VirtualTime } from "./virtual-time.ts";

export interface Surroundings {
  readonly time: VirtualTime;
  readonly dice: Dice;
  readonly journal: Journal;
  readonly network: Network;
  readonly broker: Broker;
  readonly findings: Findings;
}

export interface GatewaySettings {
  readonly config: Config;
  readonly weather: Weather;
  readonly announces: boolean;
  readonly sabotage?: Sabotage;
}

export class GatewayProcess implements Door {
  readonly name: string;
  readonly clock: ProcessClock;
  readonly publisher: Publisher;
  readonly namespaces: Namespaces;
  readonly #gateway: Gateway;
  readonly #around: Surroundings;

  /** Starts it: clients may connect from now on. */
  constructor(name: string, around: Surroundings, { config, weather, announces, sabotage }: GatewaySettings) {
    const { time, dice, broker, network } = around;
    this.name = name;
    this.#around = around;
    this.clock = new ProcessClock(time, dice.split());
    const link = new BrokerLink(broker, {
      time,
      dice: dice.split(),
      clock: this.clock,
      weather,
      announces,
      ...(sabotage && { sabotage }),
    });
    this.namespaces = openNamespaces(config, new Map([["broker", link]]));
    const observer = watchful(name, around);
    this.publisher = new Publisher(this.clock, observer);
    this.#gateway = new Gateway({
      limits: config.client,
      insecure: config.auth.insecure,
      version: "simulated",
      name,
      clock: this.clock,
      observer,
      hooks: { onConnect: whoTheySayTheyAre },
      namespaces: this.namespaces,
      publisher: this.publisher,
    });
    this.#gateway.start();
    network.open(this);
    around.journal.note(() => `${name} starts`);
  }

  get alive(): boolean {
    return this.clock.alive;
  }

  accept(socket: Socket, handshake: Handshake): SocketEvents {
    return this.#gateway.accept(socket, handshake);
  }

  /** Ends without notice. `told`: the machine lives, so that its peers hear of the end. */
  crash(told: boolean): void {
    const { network, journal } = this.#around;
    journal.note(() => `${this.name} crashes${told ? "" : ", nobody is told"}`);
    this.clock.die();
    for (const connection of network.close(this)) connection.loseGateway(told);
  }

  /** Sends its clients elsewhere over `ms` and ends, as on SIGTERM. */
  async drain(ms: number): Promise<void> {
    const { network, journal, findings } = this.#around;
    journal.note(() => `${this.name} drains`);
    network.close(this);
    await this.#gateway.drain(ms);
    await this.#gateway.stop();
    journal.note(() => `${this.name} has drained`);
    this.clock.after(LINGER_MS, () => {
      if (this.clock.waiting > 0) findings.add("I10", `${this.name} left ${this.clock.waiting} timers behind`);
      if (this.#gateway.connections > 0) {
        findings.add("I10", `${this.name} left ${this.#gateway.connections} connections behind`);
      }
      this.clock.die();
    });
  }
}

/** What has been begun may end in its own time, also the closing handshakes; then nothing may be left. */
const LINGER_MS = 40_000;

/** Each simulated client says in its connect data which user it is. */
function whoTheySayTheyAre({ data }: ConnectAttempt): { user: string } | undefined {
  return typeof data === "object" && data !== null && !Array.isArray(data) && typeof data["user"] === "string"
    ? { user: data["user"] }
    : undefined;
}

/** A backbone may fail; anything else that fails inside a gateway is a bug. */
function watchful(name: string, { findings, journal }: Surroundings): GatewayObserver {
  return {
    ...silentObserver,
    backboneFailed: (_, operation, error) => {
      journal.note(() => `${name}: ${operation} failed: ${error instanceof Error ? error.message : String(error)}`);
      if (!expected(error)) findings.add("I10", `${name}: ${operation} failed unexpectedly: ${describe(error)}`);
    },
  };
}

function expected(error: unknown): boolean {
  if (error instanceof BackboneError) return true;
  return error instanceof TodokuError && (error.cause === undefined || expected(error.cause));
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
