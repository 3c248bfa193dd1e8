import { ManualClock, sequence } from "../manual-clock.ts";
import { conformance, type ConformanceHarness } from "./conformance.ts";
import type { Backbone } from "./contract.ts";
import { withFaults, withLossyBus, type Fate } from "./faulty.ts";
import { MemoryBackbone, MemoryStore } from "./memory.ts";

async function harness(wrap: (backbone: Backbone) => Backbone): Promise<ConformanceHarness> {
  const clock = new ManualClock(Date.now());
  let store = new MemoryStore(clock);
  return {
    open: async () => {
      const backbone = wrap(new MemoryBackbone({}, clock, store));
      await backbone.open();
      return backbone;
    },
    restart: async () => {
      store = new MemoryStore(clock);
    },
    advance: (ms) => clock.advance(ms),
    close: async () => {},
  };
}

conformance("a bus in which everything arrives", () => harness((backbone) => withLossyBus(backbone, () => "arrives")));

conformance("a bus that loses, repeats and reorders", () => {
  const random = sequence(7);
  const fates: readonly Fate[] = ["arrives", "arrives", "lost", "twice", "late"];
  return harness((backbone) => withLossyBus(backbone, () => fates[Math.floor(random() * fates.length)] ?? "arrives"));
});

conformance("faults that do not happen", () => harness((backbone) => withFaults(backbone, (_call, go) => go())));
