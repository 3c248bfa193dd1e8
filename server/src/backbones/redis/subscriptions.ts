/**
 * What is subscribed to on Redis: a list of wished-for channels, and a reconciliation that makes the servers' state follow
 * it. A lost connection, a failover, a moved slot and a frozen server are all the same to it: a wish that is not fulfilled.
 */
import type { Redis } from "ioredis";
import { BackboneError } from "../contract.ts";
import type { RedisServers } from "./servers.ts";

const RECONCILE_MS = 1000;
const PROBE_MS = 2000;
const PATIENCE_MS = 4000;

interface Wish {
  /** The node on which the subscription is known to stand. */
  on: string | undefined;
  waiting: ((error?: BackboneError) => void)[];
}

export class Subscriptions {
  readonly #name: string;
  readonly #servers: RedisServers;
  readonly #sharded: boolean;
  readonly #onMessage: (channel: string, text: string) => void;
  readonly #onInterrupted: (channels: readonly string[]) => void;
  readonly #wishes = new Map<string, Wish>();
  readonly #connections = new Map<string, Redis>();
  readonly #timers: NodeJS.Timeout[] = [];
  #stopListening: (() => void) | undefined;
  #reconciling = false;
  #again = false;
  #closed = false;

  /**
   * @param onInterrupted Called when subscriptions stand again after an interruption, in which messages may have been lost.
   */
  constructor(
    name: string,
    servers: RedisServers,
    sharded: boolean,
    onMessage: (channel: string, text: string) => void,
    onInterrupted: (channels: readonly string[]) => void,
  ) {
    this.#name = name;
    this.#servers = servers;
    this.#sharded = sharded;
    this.#onMessage = onMessage;
    this.#onInterrupted = onInterrupted;
  }

  open(): void {
    this.#timers.push(
      setInterval(() => this.#reconcile(), RECONCILE_MS),
      setInterval(() => this.#probe(), PROBE_MS),
    );
    for (const timer of this.#timers) timer.unref();
    this.#stopListening = this.#servers.onChange(() => this.#reconcile());
  }

  close(): void {
    this.#closed = true;
    this.#stopListening?.();
    for (const timer of this.#timers) clearInterval(timer);
    for (const redis of this.#connections.values()) redis.disconnect();
    this.#connections.clear();
    const closed = new BackboneError("unavailable", `[${this.#name}] the backbone is closed`);
    for (const { waiting } of this.#wishes.values()) for (const tell of waiting) tell(closed);
    this.#wishes.clear();
  }

  /** Resolves when the subscription stands. Rejects, and gives up the wish, when it does not come to stand in time. */
  async add(channel: string): Promise<void> {
    const wish = this.#wishes.get(channel) ?? { on: undefined, waiting: [] };
    this.#wishes.set(channel, wish);
    if (wish.on !== undefined) return;
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => tell(this.#tooLate(channel)), PATIENCE_MS);
      const tell = (error?: BackboneError): void => {
        clearTimeout(late);
        wish.waiting = wish.waiting.filter((other) => other !== tell);
        if (error) reject(error);
        else resolve();
      };
      wish.waiting.push(tell);
      this.#reconcile();
    }).catch((error: unknown) => {
      if (wish.on === undefined && wish.waiting.length === 0) this.#wishes.delete(channel);
      throw error;
    });
  }

  async remove(channel: string): Promise<void> {
    const wish = this.#wishes.get(channel);
    this.#wishes.delete(channel);
    const connection = wish?.on === undefined ? undefined : this.#connections.get(wish.on);
    if (connection?.status !== "ready") return;
    try {
      await (this.#sharded ? connection.sunsubscribe(channel) : connection.unsubscribe(channel));
    } catch {
      // The connection is going, and the subscription with it.
    }
  }

  // ── reconciliation ─────────────────────────────────────────────────────────

  #reconcile(): void {
    if (this.#reconciling) {
      this.#again = true;
      return;
    }
    this.#reconciling = true;
    void this.#fulfil().finally(() => {
      this.#reconciling = false;
      if (this.#again && !this.#closed) {
        this.#again = false;
        this.#reconcile();
      }
    });
  }

  async #fulfil(): Promise<void> {
    const missing = new Map<string, string[]>();
    for (const [channel, wish] of this.#wishes) {
      const node = this.#holderOf(channel);
      if (node === undefined || node === wish.on) continue;
      if (wish.on !== undefined) this.#leave(channel, wish.on);
      wish.on = undefined;
      const channels = missing.get(node);
      if (channels) channels.push(channel);
      else missing.set(node, [channel]);
    }
    await Promise.all([...missing].map(([node, channels]) => this.#subscribe(node, channels)));
  }

  #holderOf(channel: string): string | undefined {
    try {
      return this.#servers.nodeOf(channel).name;
    } catch {
      return undefined;
    }
  }

  async #subscribe(node: string, channels: readonly string[]): Promise<void> {
    const connection = await this.#connection(node);
    if (!connection) return;
    const stand: string[] = [];
    // One by one, in one write: the arguments of SSUBSCRIBE must share a slot.
    const outcomes = await Promise.allSettled(
      channels.map((channel) => (this.#sharded ? connection.ssubscribe(channel) : connection.subscribe(channel))),
    );
    outcomes.forEach((outcome, i) => {
      const channel = channels[i] ?? "";
      const wish = this.#wishes.get(channel);
      if (outcome.status === "rejected" || this.#connections.get(node) !== connection) return;
      if (!wish) {
        this.#leave(channel, node);
        return;
      }
      wish.on = node;
      if (wish.waiting.length === 0) stand.push(channel);
      for (const tell of wish.waiting.slice()) tell();
    });
    if (outcomes.some(({ status }) => status === "rejected")) void this.#servers.refresh().catch(() => {});
    if (stand.length > 0) this.#onInterrupted(stand);
  }

  async #connection(node: string): Promise<Redis | undefined> {
    const known = this.#connections.get(node);
    if (known) return known.status === "ready" ? known : undefined;
    const connection = this.#servers.connectionTo(node, "sub");
    this.#connections.set(node, connection);
    connection.on("error", () => {});
    connection.on("close", () => this.#lost(node));
    connection.on("ready", () => this.#reconcile());
    // The server ended a subscription because the slot went elsewhere.
    connection.on("moved", () => {
      this.#lost(node);
      void this.#servers.refresh().catch(() => {});
    });
    connection.on(this.#sharded ? "smessage" : "message", (channel: string, text: string) =>
      this.#onMessage(channel, text),
    );
    try {
      await connection.connect();
      return connection;
    } catch {
      return undefined;
    }
  }

  /** Nothing is known to stand on this node any more. */
  #lost(node: string): void {
    for (const wish of this.#wishes.values()) if (wish.on === node) wish.on = undefined;
    if (!this.#closed) this.#reconcile();
  }

  #leave(channel: string, node: string): void {
    const connection = this.#connections.get(node);
    if (connection?.status !== "ready") return;
    (this.#sharded ? connection.sunsubscribe(channel) : connection.unsubscribe(channel)).catch(() => {});
  }

  /** A frozen server keeps its connections open: only a question that stays unanswered shows it. */
  #probe(): void {
    const holders = new Set(this.#servers.masters().map(({ name }) => name));
    for (const [node, connection] of this.#connections) {
      if (!holders.has(node)) {
        connection.disconnect();
        this.#connections.delete(node);
        this.#lost(node);
      } else if (connection.status === "ready") {
        connection.ping().catch(() => connection.disconnect(true));
      }
    }
  }

  #tooLate(channel: string): BackboneError {
    return new BackboneError(
      "unavailable",
      `[${this.#name}] Redis did not take the subscription to ${channel} within ${PATIENCE_MS} ms`,
    );
  }
}
