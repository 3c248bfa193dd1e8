/**
 * What the gateway's work costs, in counts that do not depend on how fast the machine is or what else it does, and the bounds
 * that no change may break. A bound is about half as much again as was measured: a new version of V8 may allocate a little
 * more; a closure, a promise or a copy per delivery is far beyond it. Where the product has become cheaper, lower them.
 */
export interface Cost {
  readonly what: string;
  readonly most: number;
}

export const COSTS = {
  deliveryBytes: { what: "bytes allocated per delivery, at-most-once", most: 230 },
  loggedDeliveryBytes: { what: "bytes allocated per delivery from a log", most: 230 },
  writes: { what: "writes to a connection in a turn with ten publications", most: 1 },
  framesMade: { what: "frames made in a turn with one publication to all connections", most: 1 },
  asyncPerDelivery: { what: "promises, timers and callbacks made per delivery", most: 0.1 },
  publishBytes: { what: "bytes allocated per publish of a client, with its answer", most: 11_000 },
  idleBytes: { what: "bytes held by an idle connection with one subscription, without its socket", most: 2300 },
  leftBytes: { what: "bytes still held by a connection that has ended", most: 200 },
} as const satisfies Readonly<Record<string, Cost>>;

export type CostName = keyof typeof COSTS;
export const COST_NAMES: readonly CostName[] = Object.keys(COSTS) as CostName[];

/** What was measured, by name. */
export type Measured = Readonly<Partial<Record<CostName, number>>>;

/** The costs that are beyond their bounds. */
export function beyond(measured: Measured): readonly CostName[] {
  return COST_NAMES.filter((name) => (measured[name] ?? 0) > COSTS[name].most);
}

/** Room for everything that is allocated between two collections, and collections on demand. */
export const MEASURING_FLAGS: readonly string[] = [
  "--expose-gc",
  "--min-semi-space-size=256",
  "--max-semi-space-size=256",
];
