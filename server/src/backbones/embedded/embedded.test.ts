import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { ManualClock } from "../../manual-clock.ts";
import { conformance, type ConformanceHarness } from "../conformance.ts";
import type { Backbone } from "../contract.ts";
import { EmbeddedBackbone } from "./embedded.ts";
import { beginAnew } from "./restored.ts";

/** `restart`: what is done to the folder while nobody has it. */
async function harness(restart: (folder: string, clock: ManualClock) => Promise<unknown>): Promise<ConformanceHarness> {
  const clock = new ManualClock(Date.now());
  const folder = await mkdtemp(path.join(tmpdir(), "todoku-embedded-"));
  // One process owns the folder, so the suite's instances are one.
  let owner: Backbone | undefined;
  const open = async (): Promise<Backbone> => {
    if (owner) await owner.check().catch(() => (owner = undefined));
    if (owner) return owner;
    owner = new EmbeddedBackbone("local", { path: folder }, clock);
    await owner.open();
    return owner;
  };
  const stop = async (): Promise<void> => {
    await owner?.close();
    owner = undefined;
    await restart(folder, clock);
  };
  await open();
  await stop();
  return {
    open,
    restart: stop,
    advance: (ms) => clock.advance(ms),
    now: () => clock.now(),
    close: async () => {
      await owner?.close();
      await rm(folder, { recursive: true });
    },
  };
}

conformance("embedded", () => harness(() => Promise.resolve()));
conformance("embedded in a folder that was brought back", () =>
  harness((folder, clock) => beginAnew("local", folder, clock)),
);
