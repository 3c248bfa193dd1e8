/** Faults around a real backbone, by a script. For tests of what the platform makes of them. */
import type { Backbone, Bus, Frame, FrameListener } from "./contract.ts";

/**
 * What happens around one call of a facet, such as `log.append`; `go` makes the call. It may wait before or after, fail
 * instead, or make the call and fail nevertheless.
 */
export type Around = <T>(call: string, go: () => Promise<T>, firstArgument: unknown) => Promise<T>;

/** `around` is asked for every call of every facet. */
export function withFaults(backbone: Backbone, around: Around): Backbone {
  const meddled = <Facet extends object>(name: string, facet: Facet | undefined): Facet | undefined =>
    facet &&
    new Proxy(facet, {
      get: (target, method: string) => {
        const call = Reflect.get(target, method) as ((...args: readonly unknown[]) => Promise<unknown>) | undefined;
        if (!call) return undefined;
        return (...args: readonly unknown[]) => around(`${name}.${method}`, () => call(...args), args[0]);
      },
    });
  const bus = meddled("bus", backbone.bus);
  const log = meddled("log", backbone.log);
  const cursors = meddled("cursors", backbone.cursors);
  return { ...lifeOf(backbone), ...(bus && { bus }), ...(log && { log }), ...(cursors && { cursors }) };
}

/** What becomes of a frame of the bus: `late` ones come after the listener's next frame. */
export type Fate = "arrives" | "lost" | "twice" | "late";

/** A bus that loses, repeats and reorders: `fate` is asked once for every frame and listener. */
export function withLossyBus(backbone: Backbone, fate: (channel: string, frame: Frame) => Fate): Backbone {
  const { bus } = backbone;
  if (!bus) throw new Error(`${backbone.type} has no bus`);
  const lossy: Bus = {
    publish: (channel, frame) => bus.publish(channel, frame),
    subscribe: (channel, listener) => {
      const unsteady = unsteadily(listener, (frame) => fate(channel, frame));
      return bus.subscribe(channel, unsteady);
    },
  };
  return {
    ...lifeOf(backbone),
    capabilities: Object.freeze({ ...backbone.capabilities, ordering: "none", once: false }),
    bus: lossy,
    ...(backbone.log && { log: backbone.log }),
    ...(backbone.cursors && { cursors: backbone.cursors }),
  };
}

function lifeOf(backbone: Backbone): Backbone {
  return {
    type: backbone.type,
    capabilities: backbone.capabilities,
    open: () => backbone.open(),
    close: () => backbone.close(),
    check: () => backbone.check(),
  };
}

function unsteadily(listener: FrameListener, fate: (frame: Frame) => Fate): FrameListener {
  let late: Frame[] = [];
  return (frame) => {
    const becomes = fate(frame);
    if (becomes === "late") {
      late.push(frame);
      return;
    }
    if (becomes !== "lost") listener(frame);
    if (becomes === "twice") listener(frame);
    const now = late;
    late = [];
    for (const one of now) listener(one);
  };
}
