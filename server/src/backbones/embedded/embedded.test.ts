import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { ManualClock } from "../../manual-clock.ts";
import { conformance } from "../conformance.ts";
import type { Backbone } from "../contract.ts";
import { EmbeddedBackbone } from "./embedded.ts";

conformance("embedded", async () => {
  const clock = new ManualClock(Date.now());
  const folder = await mkdtemp(path.join(tmpdir(), "todoku-embedded-"));
  // One process owns the folder, so the suite's instances are one.
  let owner: Backbone | undefined;
  return {
    open: async () => {
      if (owner) await owner.check().catch(() => (owner = undefined));
      if (owner) return owner;
      owner = new EmbeddedBackbone("local", { path: folder }, clock);
      await owner.open();
      return owner;
    },
    restart: async () => {
      await owner?.close();
      owner = undefined;
    },
    advance: (ms) => clock.advance(ms),
    now: () => clock.now(),
    close: async () => {
      await owner?.close();
      await rm(folder, { recursive: true });
    },
  };
});
