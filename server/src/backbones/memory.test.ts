import { ManualClock } from "../manual-clock.ts";
import { conformance } from "./conformance.ts";
import { MemoryBackbone, MemoryStore } from "./memory.ts";

conformance("memory", async () => {
  const clock = new ManualClock(Date.now());
  let store = new MemoryStore(clock);
  return {
    open: async () => {
      const backbone = new MemoryBackbone({}, clock, store);
      await backbone.open();
      return backbone;
    },
    restart: async () => {
      store = new MemoryStore(clock);
    },
    advance: (ms) => clock.advance(ms),
    close: async () => {},
  };
});
