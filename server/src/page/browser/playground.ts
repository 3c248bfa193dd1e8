/** Everything one can do on the page. Each deed tells its story: what it means, as code, as a command. */
import { Todoku, localStorageCursors, type CursorStore } from "@todoku/client";
import { Follower } from "./follower.ts";
import type { Ledger } from "./ledger.ts";
import type { ChannelPromise } from "../promise.ts";
import type { Chapter, Story } from "./story.ts";
import { Sender } from "./sender.ts";
import type { Remembered, Sent } from "./tally.ts";
import { tapWire, type WireTap } from "./wire-tap.ts";
import { number, seconds } from "./words.ts";

const TALLY = "todoku-page/tally/";
const SETTLE_MS = 500;
const STEADY_MS = 1000;
/** A newcomer should not wait long for the page to come back after a restart. */
const BACKOFF = { firstMs: 200, lastMs: 1500 };

export interface PlaygroundOptions {
  readonly promises: readonly ChannelPromise[];
  /** Name of this tab. */
  readonly tab: string;
  readonly ledger: Ledger;
  readonly story: Story;
  /** Called when the connection's state has changed, with words for it. */
  readonly onConnection: (state: string, words: string) => void;
  /** Called when the connection is cut or mended, or acknowledgements are lost or let through again. */
  readonly onControls: (controls: { readonly cut: boolean; readonly losesAcks: boolean }) => void;
}

export class Playground {
  readonly followers: readonly Follower[];
  readonly #client: Todoku;
  readonly #tap: WireTap;
  readonly #sender: Sender;
  readonly #options: PlaygroundOptions;
  #cut = false;
  #wasConnected = false;
  #goneAt: number | undefined;
  #steady: ReturnType<typeof setInterval> | undefined;

  constructor(options: PlaygroundOptions) {
    const { promises, tab, ledger, story } = options;
    this.#options = options;
    this.#tap = tapWire((frame) => story.frame(frame));
    this.#client = new Todoku(location.origin, {
      name: "todoku page",
      WebSocket: this.#tap.WebSocket,
      backoff: BACKOFF,
      cursors: cursorsOf(promises, tab),
    });
    this.followers = promises.map((promise) => this.#follow(promise));
    for (const { promise, tally } of this.followers) {
      for (const sent of ledger.read(promise.channel)) tally.sent(sent, Date.now());
    }
    const heard = (channel: string, sent: Sent): void =>
      this.followers.find(({ promise }) => promise.channel === channel)?.sent(sent);
    ledger.listen(window, heard);
    this.#sender = new Sender(this.#client, tab, (channel, sent) => {
      ledger.write(channel, sent);
      heard(channel, sent);
    });
    this.#client.on("state", () => this.#connectionChanged());
    // Losses are told by the state, refusals by whoever is refused; unheard, the SDK would warn on the console as well.
    this.#client.on("error", ({ retry, message }) => {
      if (retry !== "retry") this.#tell({ words: `The server refused this tab: ${message}` });
    });
    setInterval(() => this.followers.forEach((follower) => follower.settle()), SETTLE_MS);
    addEventListener("pagehide", () => this.#remember());
  }

  get cut(): boolean {
    return this.#cut;
  }

  /** Subscribes to everything. Resolves when all channels were answered. */
  async begin(): Promise<void> {
    await Promise.all([...this.followers.map((follower) => follower.join()), this.#client.connect()]);
    this.#watchDeadLetters();
  }

  // ── publishing ─────────────────────────────────────────────────────────────

  /** From this tab, over its WebSocket; to all three channels unless one is named. */
  async send(text: string, times = 1, to: readonly Follower[] = this.followers): Promise<void> {
    const first = to.at(-1);
    if (!first) return;
    const { channel } = first.promise;
    const where = to.length === 1 ? channel : "all three channels";
    this.#tell({
      words: this.#cut
        ? `You are cut off: the SDK keeps ${number(times, "message")} and sends as soon as you are back, under the same key each time.`
        : `You published ${number(times, "message")} on ${where}. The promise resolves when the server has stored it; on ticker: channels, when it was passed on.`,
      code: `const { offset } = await client.publish("${channel}", { text: ${JSON.stringify(text)} });`,
      curl: curlLine(channel, text),
    });
    const texts = Array.from({ length: times }, (_, i) => (times === 1 ? text : `${text} ${i + 1}`));
    await Promise.all(texts.flatMap((each) => to.map(({ promise }) => this.#sender.publish(promise.channel, each))));
  }

  /** By nobody in particular, over the HTTP API: it works while this tab is cut off. */
  async someoneElse(times: number): Promise<void> {
    const follower = this.followers.at(-1);
    this.#tell({
      words: `Someone else published ${number(times, "message")} on each channel, through the HTTP API and so without this tab's connection.`,
      curl: curlLine(follower?.promise.channel ?? "", "Hello from outside"),
    });
    for (let i = 1; i <= times; i++) {
      await this.#postToAll(times === 1 ? "News" : `News ${i} of ${times}`);
    }
  }

  /** Keeps someone else publishing once a second. */
  set steady(on: boolean) {
    clearInterval(this.#steady);
    if (!on) return;
    this.#tell({
      words: "Someone else publishes on each channel once a second. Cut your connection for a while, then come back.",
    });
    this.#steady = setInterval(() => {
      this.#do(this.#postToAll(new Date().toLocaleTimeString()));
    }, STEADY_MS);
  }

  /** What a publisher does that heard no answer to its first try. */
  async sendTwice(to: readonly Follower[]): Promise<void> {
    for (const follower of to) {
      const { offset, duplicate } = await this.#sender.publishTwice(follower.promise.channel, "Pay 5");
      follower.note(
        duplicate ? `second publish recognised: still #${offset}` : `second publish stored again, as #${offset}`,
      );
    }
    this.#tell({
      words:
        "The same message was published twice under one key, as a publisher does that heard no answer. With exactly-once the second is recognised by its key and nothing is stored.",
      code: `await client.publish("orders:demo", order, { key: "order-17" });\nawait client.publish("orders:demo", order, { key: "order-17" }); // { duplicate: true }`,
      curl: `curl ${location.origin}/api/publish -d '{"channel":"orders:demo","idempotency_key":"order-17","data":{"text":"Pay 5"}}'`,
    });
  }

  // ── this tab's connection ──────────────────────────────────────────────────

  setCut(cut: boolean): void {
    if (cut === this.#cut) return;
    this.#cut = cut;
    if (cut) {
      this.#noteAll("you cut the connection");
      this.#client.disconnect();
      this.#tell({
        words: "Your connection is cut. Let someone else publish now, then come back and compare.",
        code: "client.disconnect();",
      });
    } else {
      this.#client
        .connect()
        .catch((error: unknown) => this.#tell({ words: `The connection was refused: ${wordsOf(error)}` }));
      this.#tell({
        words:
          "You are back. The SDK said where it stood on each channel, and got what it had missed, where it is kept.",
        code: "await client.connect();",
      });
    }
    for (const follower of this.followers) follower.cut = cut;
    this.#connectionChanged();
    this.#controlsChanged();
  }

  set loseAcks(lose: boolean) {
    this.#tap.loseAcks = lose;
    this.#controlsChanged();
    this.#tell({
      words: lose
        ? "Your acknowledgements now get lost on the way. The server thinks you have handled nothing: reload, and it sends again what it thinks you lack."
        : "Acknowledgements reach the server again.",
    });
  }

  reload(): void {
    location.reload();
  }

  // ── subscriptions ──────────────────────────────────────────────────────────

  async leave(followers: readonly Follower[], forget: boolean): Promise<void> {
    await Promise.all(followers.map((follower) => follower.leave(forget)));
    this.#tell({
      words: forget
        ? "You left for good: the server has forgotten where you stood. If you come back you begin with what is new."
        : "You left. A durable subscription keeps your place on the server, for days if need be; what is published meanwhile waits for you. An at-most-once channel keeps no place.",
      code: forget ? "await subscription.close({ forget: true });" : "await subscription.close();",
    });
  }

  async join(followers: readonly Follower[]): Promise<void> {
    for (const follower of followers) follower.note("you came back");
    await Promise.all(followers.map((follower) => follower.join()));
    this.#tell({
      words: "You are subscribed again, under the same name: delivery went on where you had stopped.",
      code: `client.subscribe("chat:demo", handler, { durable: "phone" });`,
    });
  }

  failing(followers: readonly Follower[], on: boolean): void {
    for (const follower of followers) follower.failing = on;
    const [follower] = followers;
    const { maxAttempts = 0, deadLetters = "" } = follower?.promise ?? {};
    this.#tell({
      words: on
        ? `Your handler now throws. What it throws at is sent again after a growing delay, ${maxAttempts} times in all, then put on ${deadLetters}; later messages wait their turn.`
        : "Your handler works again.",
      code: `client.subscribe("orders:demo", async (order) => {\n  throw new Error("out of stock"); // not acknowledged: it comes again\n}, { durable: "warehouse" });`,
    });
  }

  // ── inside ─────────────────────────────────────────────────────────────────

  #follow(promise: ChannelPromise): Follower {
    const { tab, story } = this.#options;
    const remembered = recall(promise.channel);
    const follower: Follower = new Follower(
      {
        promise,
        client: this.#client,
        durable: tab,
        now: Date.now,
        onArrival: (channel) => story.arrived(channel),
        ...(remembered && { remembered }),
      },
      {
        send: (text) => this.#do(this.send(text, 1, [follower])),
        sendTwice: () => this.#do(this.sendTwice([follower])),
        leave: (forget) => this.#do(this.leave([follower], forget)),
        join: () => this.#do(this.join([follower])),
        failing: (on) => this.failing([follower], on),
      },
    );
    if (remembered) follower.note("you reloaded the page");
    return follower;
  }

  #connectionChanged(): void {
    const { state } = this.#client;
    if (state === "connected") {
      const away = this.#goneAt === undefined ? undefined : Date.now() - this.#goneAt;
      this.#goneAt = undefined;
      this.#wasConnected = true;
      if (away !== undefined) {
        this.#noteAll(`back after ${seconds(away)}`);
        if (!this.#cut)
          this.#tell({
            words: `The connection is back after ${seconds(away)}; the SDK has asked for what was missed.`,
          });
      }
      this.#options.onConnection("connected", "connected");
      return;
    }
    if (this.#wasConnected && this.#goneAt === undefined) {
      this.#goneAt = Date.now();
      if (!this.#cut) {
        this.#noteAll("the connection was lost");
        this.#tell({
          words: "The connection was lost; the SDK tries again by itself. If you stopped the server, start it again.",
          curl: "npm start",
        });
      }
    }
    if (this.#cut) this.#options.onConnection("cut", "cut by you");
    else this.#options.onConnection("connecting", "reconnecting…");
  }

  #controlsChanged(): void {
    this.#options.onControls({ cut: this.#cut, losesAcks: this.#tap.loseAcks });
  }

  async #postToAll(text: string): Promise<void> {
    try {
      await Promise.all(this.followers.map(({ promise }) => this.#sender.post(promise.channel, text)));
    } catch (error) {
      this.#tell({ words: `Someone else could not publish, so nothing was promised: ${wordsOf(error)}` });
    }
  }

  #watchDeadLetters(): void {
    const { tab } = this.#options;
    for (const { promise, lane } of this.followers) {
      if (promise.deadLetters === undefined) continue;
      const letters = this.#client.subscribe(
        promise.deadLetters,
        ({ data, tags }) => {
          if (tags?.["dead_letter_subscriber"] !== tab) return;
          const { text } = data as { text?: string };
          lane.deadLetter(text ?? JSON.stringify(data), `given up after ${tags["dead_letter_attempts"]} attempts`);
        },
        { start: "earliest" },
      );
      // Letters that are no longer kept have been listed while they were.
      letters.on("gap", () => {});
    }
  }

  #noteAll(text: string): void {
    for (const follower of this.followers) follower.note(text);
  }

  #tell(chapter: Chapter): void {
    this.#options.story.tell(chapter);
  }

  /** Runs what a control started; what goes wrong is part of the story. */
  #do(deed: Promise<void>): void {
    deed.catch((error: unknown) => this.#tell({ words: `That did not work: ${wordsOf(error)}` }));
  }

  #remember(): void {
    for (const { promise, tally } of this.followers) {
      try {
        sessionStorage.setItem(TALLY + promise.channel, JSON.stringify(tally.remember()));
      } catch {
        // Too much for the browser to keep: this tally begins anew.
        sessionStorage.removeItem(TALLY + promise.channel);
      }
    }
  }
}

/**
 * Only exactly-once needs the handled position to outlive a reload, and here only it gets that, so that the others show
 * what happens without. Each tab has cursors of its own: each is a subscriber of its own.
 */
function cursorsOf(promises: readonly ChannelPromise[], tab: string): CursorStore {
  const stored = localStorageCursors(`todoku-page/cursor/${tab}/`);
  const exact = promises.filter(({ delivery }) => delivery === "exactly-once").map(({ channel }) => channel);
  const keeps = (key: string): boolean => exact.some((channel) => key.includes(channel));
  return {
    get: (key) => (keeps(key) ? stored.get(key) : undefined),
    set: (key, position) => (keeps(key) ? stored.set(key, position) : undefined),
    delete: (key) => stored.delete(key),
  };
}

function recall(channel: string): Remembered | undefined {
  const text = sessionStorage.getItem(TALLY + channel);
  return text === null ? undefined : (JSON.parse(text) as Remembered);
}

function curlLine(channel: string, text: string): string {
  return `curl ${location.origin}/api/publish -d '${JSON.stringify({ channel, data: { text } }).replaceAll("'", "'\\''")}'`;
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
