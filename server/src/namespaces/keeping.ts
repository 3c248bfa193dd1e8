/** What a backbone can keep of a promise, and backbones in the words of an error. */
import { DELIVERIES, type Backbone, type Capabilities, type Delivery } from "../backbones/contract.ts";

export function canKeep(capabilities: Capabilities, delivery: Delivery): boolean {
  const recognises = delivery !== "exactly-once" || capabilities.dedupeWindowMs > 0;
  return recognises && rank(capabilities.delivery) >= rank(delivery);
}

/** Stronger promises rank higher. */
export function rank(delivery: Delivery): number {
  return DELIVERIES.indexOf(delivery);
}

export function label(name: string, { type }: Backbone): string {
  return `${JSON.stringify(name)} (${type})`;
}

export function labels(backbones: readonly (readonly [string, Backbone])[]): string {
  return list(backbones.map(([name, backbone]) => label(name, backbone)));
}

export function list(names: readonly string[]): string {
  return names.length === 0 ? "none" : names.join(" or ");
}
