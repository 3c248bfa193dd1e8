/**
 * Slowdowns as somebody might bring them in without noticing, planted into the classes of the gateway while it runs: each must
 * be found by the cost that it names.
 */
import { Outbox } from "../../server/src/gateway/outbox.ts";
import { Sessions } from "../../server/src/gateway/sessions.ts";
import { SharedPublication } from "../../server/src/gateway/shared-publication.ts";
import { Subscription } from "../../server/src/gateway/subscription.ts";
import { Publisher } from "../../server/src/namespaces/publisher.ts";
import type { CostName } from "./costs.ts";

interface Planted {
  readonly plant: () => void;
  /** What goes beyond its bounds, in the order of `COSTS`. */
  readonly found: readonly CostName[];
}

export type Slowdown = "encoding" | "promise" | "timer" | "write" | "copy" | "fat" | "leak";

export const PLANTED: Readonly<Record<Slowdown, Planted>> = {
  encoding: { plant: encodePerSubscriber, found: ["deliveryBytes", "framesMade"] },
  promise: { plant: promisePerDelivery, found: ["asyncPerDelivery"] },
  timer: { plant: timerPerDelivery, found: ["asyncPerDelivery"] },
  write: { plant: writePerPublication, found: ["writes"] },
  copy: { plant: copyPerPublish, found: ["publishBytes"] },
  fat: { plant: keepMorePerConnection, found: ["idleBytes"] },
  leak: { plant: keepEndedConnections, found: ["leftBytes"] },
};

function encodePerSubscriber(): void {
  const { parcel } = SharedPublication.prototype;
  SharedPublication.prototype.parcel = function again(encoding) {
    return parcel.call(new SharedPublication(this.channel, this.message, this.position, this.prev), encoding);
  };
}

function promisePerDelivery(): void {
  const { offer } = Subscription.prototype;
  Subscription.prototype.offer = function later(publication) {
    void Promise.resolve(publication).then((given) => offer.call(this, given));
    return true;
  };
}

function timerPerDelivery(): void {
  const { push } = Outbox.prototype;
  Outbox.prototype.push = function watched(frame) {
    const late = setTimeout(() => {}, 1000);
    push.call(this, frame);
    clearTimeout(late);
  };
}

function writePerPublication(): void {
  const { push } = Outbox.prototype;
  Outbox.prototype.push = function atOnce(frame) {
    push.call(this, frame);
    this.flush();
  };
}

function copyPerPublish(): void {
  const { publish } = Publisher.prototype;
  Publisher.prototype.publish = function copied(namespace, channel, data, options) {
    const parsed = Array.from({ length: 10 }, () => JSON.stringify(data.split("")));
    return publish.call(this, namespace, channel, parsed.length > 0 ? data : "", options);
  };
}

const kept = new WeakMap<object, unknown>();

function keepMorePerConnection(): void {
  const { add } = Sessions.prototype;
  Sessions.prototype.add = function fat(session) {
    kept.set(
      session,
      Array.from({ length: 500 }, (_, i) => i),
    );
    add.call(this, session);
  };
}

function keepEndedConnections(): void {
  Sessions.prototype.remove = () => {};
}
