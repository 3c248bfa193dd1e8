/** The obligations of the contract's bus, one rule each. */
import assert from "node:assert/strict";
import { listen, present, publishUntil, signal, type Rule } from "./conformance-case.ts";
import type { Message } from "./contract.ts";

export const BUS_RULES: readonly Rule[] = [
  {
    title: "a frame reaches the listeners on every instance",
    needs: "bus",
    run: async (at) => {
      const mine = await listen(at.bus, at.channel);
      const theirs = await listen(present(at.other.bus), at.channel);
      await publishUntil(at, () => mine.frames.length > 0 && theirs.frames.length > 0);
      assert.equal(mine.frames[0]?.kind, "signal");
      await Promise.all([mine.stop(), theirs.stop()]);
    },
  },
  {
    title: "a frame arrives unaltered, with message, info and tags",
    needs: "bus",
    run: async (at) => {
      const { frames, stop } = await listen(at.bus, at.channel);
      const message: Message = {
        ...at.message('ünï\u2028 "quoted"'),
        info: { user: "ann", client: "c" },
        tags: { a: "b" },
      };
      await at.eventually(async () => {
        await at.bus.publish(at.channel, { kind: "message", message });
        return frames[0];
      });
      assert.deepEqual(frames[0], { kind: "message", message });
      await stop();
    },
  },
  {
    title: "a listener hears its own channel only",
    needs: "bus",
    run: async (at) => {
      const mine = await listen(at.bus, at.channel);
      const neighbours = await Promise.all(
        [`${at.channel}.x`, `${at.channel}/x`, `${at.channel}:x`, at.channel.slice(0, -1)].map((channel) =>
          listen(at.bus, channel),
        ),
      );
      await publishUntil(at, () => mine.frames.length > 0);
      assert.deepEqual(
        neighbours.flatMap(({ frames }) => frames),
        [],
      );
      await Promise.all([mine, ...neighbours].map(({ stop }) => stop()));
    },
  },
  {
    title: "each of several listeners gets every frame, and stopping one stops it at once, twice without harm",
    needs: "bus",
    run: async (at) => {
      const first = await listen(at.bus, at.channel);
      const second = await listen(at.bus, at.channel);
      await publishUntil(at, () => first.frames.length > 0 && second.frames.length > 0);
      const stopped = first.stop();
      const heard = first.frames.length;
      await publishUntil(at, () => second.frames.length > heard + 1);
      await stopped;
      await first.stop();
      assert.equal(first.frames.length, heard);
      await second.stop();
    },
  },
  {
    title: "every allowed channel name works, up to 255 bytes",
    needs: "bus",
    run: async (at) => {
      const names = ["a", "odd:.#/+=~!,$|^;()@_-", `long:${"x".repeat(250)}`, "$control"];
      for (const name of names) {
        const { frames, stop } = await listen(at.bus, name);
        await at.eventually(async () => {
          await at.bus.publish(name, signal(at.channel));
          return frames.find((frame) => frame.kind === "signal" && frame.signal === at.channel);
        });
        await stop();
      }
    },
  },
  {
    title: "a bus that says so hands each frame to a listener once",
    needs: "bus",
    unless: ({ once }) => (once === true ? undefined : "a bus that may repeat"),
    run: async (at) => {
      const { frames, stop } = await listen(present(at.other.bus), at.channel);
      for (let i = 0; i < 20; i++) await at.bus.publish(at.channel, signal(String(i)));
      await publishUntil(at, () => frames.some((frame) => frame.kind === "signal" && frame.signal.startsWith("{")));
      await stop();
      const seen = frames.flatMap((frame) =>
        frame.kind === "signal" && !frame.signal.startsWith("{") ? frame.signal : [],
      );
      assert.equal(new Set(seen).size, seen.length);
    },
  },
  {
    title: "frames of one channel arrive in the order in which they were published, some of them perhaps not",
    needs: "bus",
    unless: ({ ordering }) => (ordering === "channel" ? undefined : "a bus without an order"),
    run: async (at) => {
      const { frames, stop } = await listen(present(at.other.bus), at.channel);
      for (let i = 0; i < 20; i++) await at.bus.publish(at.channel, signal(String(i)));
      await publishUntil(at, () => frames.some((frame) => frame.kind === "signal" && frame.signal.startsWith("{")));
      await stop();
      const seen = frames.flatMap((frame) => (frame.kind === "signal" ? Number(frame.signal) : []));
      const numbered = seen.filter((one) => !Number.isNaN(one));
      assert.deepEqual(
        numbered,
        numbered.toSorted((a, b) => a - b),
      );
    },
  },
];
