/**
 * One SDK, given frames as a browser gives them: each in a task of its own, with what was promised in it done before the next.
 * Called with whose turn it is, how many messages a frame has, and where todoku's bundle lies.
 */
import { pathToFileURL } from "node:url";
import type { Todoku as TodokuClient } from "@todoku/client";
import { Centrifuge } from "centrifuge";
import { FakeWebSocket } from "./fake-web-socket.ts";
import { CHANNEL, chatOf, framesOf, type Chat } from "./frames.ts";

/** Resolves when the subscription stands. */
type Subscribe = (handle: (chat: Chat) => void) => Promise<void>;

/** Messages handed in before the measurement, and in it. */
const WARM_UP = 100_000;
const MEASURED = 300_000;
/** Frames are made and handed in so many messages at a time. */
const PORTION = 10_000;
const URL = "ws://bench/connection/websocket";

const [who = "", perFrame = "1", bundle = ""] = process.argv.slice(2);

const SUBSCRIBES: Readonly<Record<string, Subscribe>> = {
  todoku: async (handle) => {
    const { Todoku } = (await import(pathToFileURL(bundle).href)) as { Todoku: typeof TodokuClient };
    const client = new Todoku<Record<string, Chat>>(URL, { WebSocket: FakeWebSocket });
    await client.subscribe(CHANNEL, ({ data }) => handle(data)).ready;
  },
  "centrifuge-js": async (handle) => {
    const client = new Centrifuge(URL, { websocket: FakeWebSocket });
    const subscription = client.newSubscription(CHANNEL);
    subscription.on("publication", ({ data }) => handle(data as Chat));
    subscription.subscribe();
    client.connect();
    await subscription.ready();
  },
  floor: async (handle) => {
    const socket = new FakeWebSocket(URL);
    socket.addEventListener("message", ({ data }: { readonly data: string }) => {
      for (const line of data.split("\n"))
        handle((JSON.parse(line) as { push: { pub: { data: Chat } } }).push.pub.data);
    });
  },
};

let handled = 0;
let wrong = 0;
/** What a portion must come to, made before it is handed in. */
let expected: readonly Chat[] = [];
let portionBegun = 0;
await SUBSCRIBES[who]?.((chat) => {
  const right = expected[handled++ - portionBegun];
  if (chat.n !== right?.n || chat.user !== right.user || chat.text !== right.text) wrong++;
});

await handIn(WARM_UP);
const seconds = await handIn(MEASURED);
console.log(`measured ${JSON.stringify({ value: MEASURED / seconds, missing: WARM_UP + MEASURED - handled, wrong })}`);
process.exit();

/** Resolves with the processor time that it took, without the making of the frames. */
async function handIn(messages: number): Promise<number> {
  let seconds = 0;
  for (let left = messages; left > 0; left -= PORTION) {
    const frames = framesOf(handled + 1, PORTION / Number(perFrame), Number(perFrame));
    portionBegun = handled;
    expected = Array.from({ length: PORTION }, (_, i) => chatOf(portionBegun + 1 + i));
    const begun = process.cpuUsage();
    const done = Promise.withResolvers<void>();
    for (const frame of frames) setImmediate(() => FakeWebSocket.latest?.receive(frame));
    setImmediate(done.resolve);
    await done.promise;
    const { user, system } = process.cpuUsage(begun);
    seconds += (user + system) / 1e6;
    if (handled === portionBegun) break;
  }
  return seconds;
}
