/**
 * A backbone whose bus loses, repeats and reorders frames by a script. For tests of the law: the log is the truth, the
 * bus is only a hint.
 */
import type { Backbone, Bus, Frame, FrameListener } from "./contract.ts";

/** What becomes of a frame: `late` ones come after the listener's next frame. */
export type Fate = "arrives" | "lost" | "twice" | "late";

/** `fate` is asked once for every frame and listener. */
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
    type: backbone.type,
    capabilities: backbone.capabilities,
    bus: lossy,
    ...(backbone.log && { log: backbone.log }),
    ...(backbone.cursors && { cursors: backbone.cursors }),
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
