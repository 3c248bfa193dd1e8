import assert from "node:assert/strict";
import { test } from "node:test";
import { array, assert as holds, asyncProperty, nat } from "fast-check";
import { MemoryBackbone } from "../backbones/memory.ts";
import { ManualClock } from "../manual-clock.ts";
import { offsetBefore } from "./time-in-log.ts";

test("a time is found wherever it lies, also before what is kept and after the last message", async () => {
  await holds(
    asyncProperty(array(nat(3), { maxLength: 40 }), nat(100), nat(20), async (steps, time, messages) => {
      const backbone = new MemoryBackbone({}, new ManualClock(0));
      await backbone.open();
      const times: number[] = [];
      for (const step of steps) {
        const at = (times.at(-1) ?? 10) + step;
        times.push(at);
        await backbone.log.append("a", { id: "x", time: at, data: "1" }, { retention: { messages: messages + 1 } });
      }
      const offset = await offsetBefore(backbone.log, "a", time);
      const kept = times.map((at, i) => ({ at, offset: i + 1 })).slice(-messages - 1);
      const wanted = kept.find(({ at }) => at >= time);
      assert.equal(offset, wanted ? wanted.offset - 1 : times.length);
    }),
  );
});
