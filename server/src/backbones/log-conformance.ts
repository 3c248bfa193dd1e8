/** The obligations of the contract's log, one rule each. */
import assert from "node:assert/strict";
import { KEEP, listen, offsets, present, type Rule } from "./conformance-case.ts";
import type { ChannelPage, Log, Message, StoredMessage } from "./contract.ts";

const FRAMES_TO_SEE_ONE = 200;

/** All pages, as far as they name channels that the test made. */
async function named(log: Log, namespace: string, among: readonly string[]): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  let next: string | undefined;
  do {
    const page: ChannelPage = await log.channels(namespace, ...(next === undefined ? [] : [next]));
    for (const channel of page.channels) if (among.includes(channel)) found.add(channel);
    next = page.next;
  } while (next !== undefined);
  return found;
}

export const LOG_RULES: readonly Rule[] = [
  {
    title: "a channel that was never written has an epoch, which stays when the first message comes",
    needs: "log",
    run: async (at) => {
      const [head] = await at.log.heads([at.channel]);
      // `trimmed` may be too high where a partition is shared and older messages of other channels are gone.
      assert.equal(head?.offset, 0);
      assert.equal((await at.append("1")).epoch, head?.epoch);
    },
  },
  {
    title: "offsets rise in the order of awaited appends, and reading gives that order on every instance",
    needs: "log",
    run: async (at) => {
      const stored = [];
      for (const text of ["1", "2", "3", "4", "5"]) stored.push(await at.append(text));
      const wanted = stored.map(({ offset }) => offset);
      assert.deepEqual(
        wanted,
        [...wanted].toSorted((a, b) => a - b),
      );
      assert.equal(new Set(wanted).size, 5);
      for (const log of [at.log, present(at.other.log)]) {
        const range = await log.read(at.channel, { limit: 10 });
        assert.deepEqual(offsets(range.messages), wanted);
        assert.equal(range.head, wanted.at(-1));
        assert.deepEqual(
          range.messages.map(({ data }) => data),
          ["1", "2", "3", "4", "5"].map((text) => JSON.stringify(text)),
        );
      }
    },
  },
  {
    title: "appends that are not awaited are stored once each, in the order in which they were made",
    needs: "log",
    run: async (at) => {
      const texts = Array.from({ length: 100 }, (_, i) => String(i));
      const stored = await Promise.all(texts.map((text) => at.append(text)));
      assert.equal(new Set(stored.map(({ offset }) => offset)).size, 100);
      const range = await at.log.read(at.channel, { limit: 1000 });
      assert.deepEqual(
        range.messages.map(({ data }) => JSON.parse(data) as string),
        texts,
      );
    },
  },
  {
    title: "appends through two instances make one order",
    needs: "log",
    run: async (at) => {
      const theirs = present(at.other.log);
      const stored = await Promise.all(
        Array.from({ length: 20 }, (_, i) => (i % 2 ? at.log : theirs).append(at.channel, at.message(String(i)), KEEP)),
      );
      assert.equal(new Set(stored.map(({ offset }) => offset)).size, 20);
      const [mine, seen] = await Promise.all([at.log, theirs].map((log) => log.read(at.channel, { limit: 100 })));
      assert.deepEqual(mine?.messages, seen?.messages);
      assert.equal(mine?.messages.length, 20);
    },
  },
  {
    title: "a message comes back unaltered: id, time, data, info and tags",
    needs: "log",
    run: async (at) => {
      const rich: Message = {
        ...at.message("x"),
        data: '{"ü":"\\u2028\\u0000","n":[1e30,null]}',
        info: { user: "", client: "c", conn_info: { a: [1] } },
        tags: { a: "b", "": "" },
      };
      const { offset } = await at.log.append(at.channel, rich, KEEP);
      const empty = await at.log.append(at.channel, { ...at.message(""), data: '""' }, KEEP);
      const { messages } = await at.log.read(at.channel, { limit: 10 });
      assert.deepEqual(messages[0], { ...rich, offset });
      assert.equal(messages[1]?.offset, empty.offset);
    },
  },
  {
    title: "a message of 64 KiB is stored whole",
    needs: "log",
    run: async (at) => {
      const data = JSON.stringify("ü".repeat(32_000));
      await at.log.append(at.channel, { ...at.message(""), data }, KEEP);
      assert.equal((await at.log.read(at.channel, { limit: 1 })).messages[0]?.data, data);
    },
  },
  {
    title: "reading starts after a position, stops at the limit and at the bytes, and gives at least one message",
    needs: "log",
    run: async (at) => {
      const stored = [];
      for (const text of ["1", "2", "3", "4"]) stored.push((await at.append(text.repeat(100))).offset);
      const read = async (options: Parameters<Log["read"]>[1]): Promise<number[]> =>
        offsets((await at.log.read(at.channel, options)).messages);
      assert.deepEqual(await read({ after: stored[1] ?? 0, limit: 10 }), stored.slice(2));
      assert.deepEqual(await read({ limit: 2 }), stored.slice(0, 2));
      assert.deepEqual(await read({ limit: 10, maxBytes: 1 }), stored.slice(0, 1));
      assert.deepEqual(await read({ limit: 10, maxBytes: 150 }), stored.slice(0, 2));
      assert.deepEqual(await read({ after: stored[3] ?? 0, limit: 10 }), []);
    },
  },
  {
    title: "reading in reverse gives the newest first, from the head or from before a position",
    needs: "log",
    run: async (at) => {
      const stored = [];
      for (const text of ["1", "2", "3", "4"]) stored.push((await at.append(text)).offset);
      const read = async (options: Parameters<Log["read"]>[1]): Promise<number[]> =>
        offsets((await at.log.read(at.channel, { ...options, reverse: true })).messages);
      assert.deepEqual(await read({ limit: 10 }), stored.toReversed());
      assert.deepEqual(await read({ limit: 2 }), stored.toReversed().slice(0, 2));
      assert.deepEqual(await read({ after: stored[2] ?? 0, limit: 10 }), stored.slice(0, 2).toReversed());
    },
  },
  {
    title: "channels names all of a namespace that keep messages, on every instance, and none of another",
    needs: "log",
    run: async (at) => {
      const [namespace = ""] = at.channel.split(":");
      const many = Array.from({ length: 30 }, (_, i) => `${at.channel}:${i}`);
      const bare = at.channel.replaceAll(":", "-");
      await Promise.all([...many, bare].map((channel) => at.log.append(channel, at.message("1"), KEEP)));
      const all = [...many, bare, `${at.channel}:never`];
      for (const log of [at.log, present(at.other.log)]) {
        assert.deepEqual(await named(log, namespace, all), new Set(many));
        assert.deepEqual(await named(log, "", all), new Set([bare]));
        assert.deepEqual(await named(log, "other", all), new Set());
      }
    },
  },
  {
    title: "heads answers for several channels, in the order asked for",
    needs: "log",
    run: async (at) => {
      const { offset, epoch } = await at.append("1");
      const never = `${at.channel}-never`;
      const [first, second, third] = await at.log.heads([never, at.channel, never]);
      assert.deepEqual([first?.offset, second?.offset, third?.offset], [0, offset, 0]);
      assert.equal(second?.epoch, epoch);
    },
  },
  {
    title: "channels do not mix, however alike their names are",
    needs: "log",
    run: async (at) => {
      const near = [`${at.channel}0`, `${at.channel}/`, at.channel.toUpperCase().replace("TEST", "test")];
      await at.append("mine");
      for (const name of near) await at.log.append(name, at.message(name), KEEP);
      const { messages } = await at.log.read(at.channel, { limit: 10 });
      assert.deepEqual(
        messages.map(({ data }) => data),
        ['"mine"'],
      );
    },
  },
  {
    title: "retention by count removes the oldest, keeps at least as many as asked, and says up to where",
    needs: "log",
    unless: ({ retention }) => (retention.includes("messages") ? undefined : "no retention by count"),
    run: async (at) => {
      const stored: number[] = [];
      for (let i = 0; i < 30; i++) stored.push((await at.append(String(i), { retention: { messages: 10 } })).offset);
      const range = await at.log.read(at.channel, { limit: 100 });
      assert.ok(range.messages.length >= 10);
      assert.deepEqual(offsets(range.messages), stored.slice(-range.messages.length));
      if (range.messages.length < 30) assert.ok(range.trimmed >= (stored.at(-range.messages.length - 1) ?? 0));
      assert.ok(range.trimmed < (range.messages[0]?.offset ?? 0));
    },
  },
  {
    title: "retention by bytes removes the oldest and keeps the newest, however large it is",
    needs: "log",
    unless: ({ retention }) => (retention.includes("bytes") ? undefined : "no retention by bytes"),
    run: async (at) => {
      for (let i = 0; i < 5; i++) await at.append("x".repeat(100), { retention: { bytes: 250 } });
      const { messages, trimmed } = await at.log.read(at.channel, { limit: 100 });
      assert.ok(messages.length >= 2);
      assert.ok(messages.length === 5 || trimmed > 0);
      const big = await at.append("x".repeat(1000), { retention: { bytes: 250 } });
      assert.equal((await at.log.read(at.channel, { limit: 100 })).messages.at(-1)?.offset, big.offset);
    },
  },
  {
    title: "remove forgets the messages, keeps epoch and head, and says so",
    needs: "log",
    run: async (at) => {
      const { epoch, offset } = await at.append("1");
      await at.log.remove(at.channel);
      const range = await at.log.read(at.channel, { limit: 10 });
      assert.deepEqual([range.epoch, range.head, range.messages.length], [epoch, offset, 0]);
      assert.ok(range.trimmed >= offset);
      const next = await at.append("2");
      assert.ok(next.offset > offset);
      assert.deepEqual(offsets((await at.log.read(at.channel, { limit: 10 })).messages), [next.offset]);
      await at.log.remove(`${at.channel}-never-written`);
    },
  },
  {
    title: "a repeated key stores nothing and answers the first position, also at once and through another instance",
    needs: "log",
    unless: ({ dedupeWindowMs }) => (dedupeWindowMs > 0 ? undefined : "no deduplication"),
    run: async (at) => {
      const dedupe = { ...KEEP, dedupe: { key: "k", windowMs: 60_000 } };
      const first = await at.append("1", dedupe);
      assert.equal(first.duplicate, false);
      const again = await Promise.all([
        at.append("1", dedupe),
        present(at.other.log).append(at.channel, at.message("1"), dedupe),
      ]);
      for (const one of again) assert.deepEqual(one, { ...first, duplicate: true });
      const together = await Promise.all(
        Array.from({ length: 10 }, () => at.append("2", { ...KEEP, dedupe: { key: "k2", windowMs: 60_000 } })),
      );
      assert.equal(together.filter(({ duplicate }) => !duplicate).length, 1);
      assert.equal(new Set(together.map(({ offset }) => offset)).size, 1);
      assert.equal((await at.log.read(at.channel, { limit: 10 })).messages.length, 2);
    },
  },
  {
    title: "reading channels together, again from where the answers end, comes to what reading each of them does",
    needs: "log",
    unless: (_, { log }) => (log?.readMany ? undefined : "channels share no log"),
    run: async (at) => {
      const channels = Array.from({ length: 8 }, (_, i) => `${at.channel}-${i}`);
      const dedupe = { ...KEEP, dedupe: { key: "k", windowMs: 60_000 } };
      for (let i = 0; i < 40; i++)
        await at.log.append(channels[i % 5] ?? "", at.message(String(i)), i < 10 ? dedupe : KEEP);
      await at.log.remove(channels[4] ?? "");
      const found = new Map(channels.map((channel) => [channel, [] as StoredMessage[]]));
      const after = new Map(channels.map((channel, i) => [channel, i === 0 ? 3 : 0]));
      const readMany = present(present(at.other.log).readMany);
      for (let behind = channels; behind.length > 0;) {
        const reads = behind.map((channel) => ({ channel, after: after.get(channel) ?? 0 }));
        const ranges = await readMany(reads, { limit: 7, maxBytes: 12 });
        assert.equal(ranges.length, reads.length);
        const count = ranges.reduce((sum, { messages }) => sum + messages.length, 0);
        assert.ok(count > 0 || behind.every((_, i) => ranges[i]?.head === ranges[i]?.trimmed), "it goes on");
        behind = behind.filter((channel, i) => {
          const range = ranges[i];
          found.get(channel)?.push(...(range?.messages ?? []));
          after.set(channel, Math.max(range?.messages.at(-1)?.offset ?? after.get(channel) ?? 0, range?.trimmed ?? 0));
          return (after.get(channel) ?? 0) < (range?.head ?? 0);
        });
      }
      for (const [i, channel] of channels.entries()) {
        const { messages, head, trimmed, epoch } = await at.log.read(channel, { after: i === 0 ? 3 : 0, limit: 100 });
        assert.deepEqual(found.get(channel), messages);
        const [again] = await readMany([{ channel, after: head }], { limit: 7 });
        assert.deepEqual(again, { epoch, messages: [], head, trimmed });
      }
    },
  },
  {
    title: "a key belongs to its channel",
    needs: "log",
    unless: ({ dedupeWindowMs }) => (dedupeWindowMs > 0 ? undefined : "no deduplication"),
    run: async (at) => {
      const dedupe = { ...KEEP, dedupe: { key: "k", windowMs: 60_000 } };
      await at.append("1", dedupe);
      const elsewhere = await at.log.append(`${at.channel}-2`, at.message("1"), dedupe);
      assert.equal(elsewhere.duplicate, false);
    },
  },
  {
    title:
      "a backbone that announces its appends does so on every instance, with position and a prev that is right or absent",
    needs: "log",
    unless: ({ announces }) => (announces ? undefined : "appends are not announced"),
    run: async (at) => {
      const mine = await listen(at.bus, at.channel);
      const theirs = await listen(present(at.other.bus), at.channel);
      const stored: number[] = [];
      for (let i = 0; i < FRAMES_TO_SEE_ONE && (mine.frames.length < 3 || theirs.frames.length < 3); i++) {
        stored.push((await at.append(String(i))).offset);
      }
      await at.eventually(async () => (mine.frames.length >= 3 && theirs.frames.length >= 3 ? true : undefined));
      for (const frame of [...mine.frames, ...theirs.frames]) {
        assert.equal(frame.kind, "message");
        if (frame.kind !== "message") continue;
        const index = stored.indexOf(frame.position?.offset ?? -1);
        assert.notEqual(index, -1, "announced an offset that was never answered");
        if (frame.prev !== undefined) assert.equal(frame.prev, stored[index - 1] ?? 0);
        assert.equal(frame.message.data, JSON.stringify(String(index)));
      }
      await Promise.all([mine.stop(), theirs.stop()]);
    },
  },
];
