/** What goes wrong in a simulated world, and when. */
import type { Connection } from "./connection.ts";
import type { Device } from "./device.ts";
import type { Dice } from "./dice.ts";
import type { GatewayProcess, Surroundings } from "./gateway-process.ts";
import type { Fault, Scenario } from "./scenario.ts";
import { ProcessClock } from "./virtual-time.ts";

const LONGEST_STALL_MS = 8000;
const LONGEST_AWAY_MS = 5000;
const LONGEST_DRAIN_MS = 3000;
/** A log that loses everything again before its readers have found out that it had is no case that anyone promises. */
const BETWEEN_WIPES_MS = 2000;

/** What can be struck of a world. */
export interface Vulnerable {
  readonly scenario: Scenario;
  readonly around: Surroundings;
  readonly devices: readonly Device[];
  readonly gateways: readonly GatewayProcess[];
  startGateway(): void;
  /** Takes a gateway out of those that run. */
  remove(gateway: GatewayProcess): void;
}

export class Troubles {
  readonly #world: Vulnerable;
  readonly #dice: Dice;
  readonly #clock: ProcessClock;
  #wipeableAt = 0;

  constructor(world: Vulnerable) {
    this.#world = world;
    this.#dice = world.around.dice.split();
    this.#clock = new ProcessClock(world.around.time, this.#dice);
    if (world.scenario.faults.length > 0) this.#next();
  }

  end(): void {
    this.#clock.die();
  }

  #next(): void {
    const { faultEveryMs, faults } = this.#world.scenario;
    this.#clock.after(this.#dice.between(0, 2 * faultEveryMs), () => {
      this.#strike(this.#dice.pick(faults));
      this.#next();
    });
  }

  #strike(fault: Fault): void {
    const { time, broker } = this.#world.around;
    switch (fault) {
      case "reset":
        return this.#connection()?.reset();
      case "vanish":
        return this.#connection()?.vanish();
      case "deceive":
        return this.#connection()?.deceiveClient();
      case "lose client":
        return this.#connection()?.loseClient(this.#dice.chance(0.7));
      case "stall":
        return this.#connection()?.stall(this.#dice.between(0, LONGEST_STALL_MS));
      case "reload":
        return this.#dice.pick(this.#world.devices).reload();
      case "disconnect":
        return this.#dice.pick(this.#world.devices).disconnect();
      case "come and go":
        return this.#comeAndGo();
      case "crash":
        return this.#crash(this.#gateway());
      case "drain":
        return this.#drain(this.#gateway());
      case "restart log":
        return time.hold(this.#restartLog());
      case "wipe log":
        if (time.now() < this.#wipeableAt) return;
        this.#wipeableAt = time.now() + BETWEEN_WIPES_MS;
        return time.hold(broker.wipe());
    }
  }

  #connection(): Connection | undefined {
    const whole = [...this.#world.around.network.connections].filter((connection) => connection.whole);
    return whole.length > 0 ? this.#dice.pick(whole) : undefined;
  }

  #gateway(): GatewayProcess | undefined {
    return this.#world.gateways.length > 0 ? this.#dice.pick(this.#world.gateways) : undefined;
  }

  #comeAndGo(): void {
    const subscribers = this.#world.devices.flatMap((device) => device.subscribers);
    const subscriber = this.#dice.pick(subscribers);
    if (subscriber.subscribed) void subscriber.leave();
    else subscriber.comeBack();
  }

  #crash(gateway: GatewayProcess | undefined): void {
    if (!gateway) return;
    this.#world.remove(gateway);
    gateway.crash(this.#dice.chance(0.7));
    this.#startLater();
  }

  #drain(gateway: GatewayProcess | undefined): void {
    if (!gateway) return;
    this.#world.remove(gateway);
    void gateway.drain(this.#dice.between(0, LONGEST_DRAIN_MS));
    this.#startLater();
  }

  #startLater(): void {
    this.#clock.after(this.#dice.between(0, LONGEST_AWAY_MS), () => this.#world.startGateway());
  }

  /** The log lives in the gateways' process. */
  async #restartLog(): Promise<void> {
    const { gateways, around } = this.#world;
    const told = this.#dice.chance(0.7);
    for (const gateway of gateways) {
      this.#world.remove(gateway);
      gateway.crash(told);
      this.#startLater();
    }
    await around.broker.restart();
  }
}
