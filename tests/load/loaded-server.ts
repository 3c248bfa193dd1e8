/** A server of its own for a crowd, and what it holds on to: memory, descriptors, connections, channels, timers. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import type { ConfigInput } from "../../server/src/config.ts";
import { ServerProcess } from "../server-process.ts";

const off = { connects: "off", commands: "off", publish: "off", subscribe: "off", user: "off" } as const;
const FLAGS = ["--expose-gc", "--import", path.join(import.meta.dirname, "..", "collect-on-signal.ts")];
const open = { subscribe: "any", publish: "any", presence: "any" } as const;

/** What a process holds. */
export interface Holdings {
  /** Bytes in use on the heap and beside it, garbage collected. */
  readonly memory: number;
  readonly descriptors: number;
  readonly connections: number;
  readonly subscriptions: number;
  /** Channels that are subscribed to. */
  readonly channels: number;
}

export class LoadedServer implements AsyncDisposable {
  readonly process: ServerProcess;

  private constructor(server: ServerProcess) {
    this.process = server;
  }

  /**
   * No rate is limited, for a crowd comes from few addresses. Namespaces: `live` (at-most-once), `seen` (that with presence, join
   * and leave), `kept` (at-least-once on `embedded`).
   */
  static async start(client: ConfigInput["client"] = {}, about: ConfigInput = {}): Promise<LoadedServer> {
    const config: ConfigInput = {
      auth: { insecure: true },
      backbones: { here: { type: "memory" }, disk: { type: "embedded", path: "data" } },
      namespaces: {
        live: { ...open, backbone: "here" },
        seen: { ...open, backbone: "here", join_leave: true },
        kept: { ...open, backbone: "disk", delivery: "at-least-once", retention: { messages: 1000 } },
      },
      ...about,
      client: { unauthenticated_per_address: 100_000, rate: off, ...client },
    };
    return new LoadedServer(await ServerProcess.start(config, FLAGS));
  }

  get port(): number {
    return this.process.port;
  }

  get pid(): number {
    return this.process.program.pid;
  }

  async holdings(): Promise<Holdings> {
    const collected = this.process.program.speaks();
    this.process.program.signal("SIGUSR2");
    await collected;
    const { nodes } = await this.process.api<{ nodes: readonly { num_channels: number }[] }>("info", {});
    return {
      memory:
        (await this.process.metric("nodejs_heap_size_used_bytes")) +
        (await this.process.metric("nodejs_external_memory_bytes")),
      descriptors: readdirSync(`/proc/${this.pid}/fd`).length,
      connections: await this.process.metric("todoku_connections"),
      subscriptions: await this.process.metric("todoku_subscriptions"),
      channels: nodes.reduce((sum, { num_channels }) => sum + num_channels, 0),
    };
  }

  /** Timers that wait now. */
  timers(): Promise<number> {
    return this.process.metric("nodejs_active_resources", { type: "Timeout" });
  }

  /** Publishes `count` messages with `data` to each channel. */
  async publish(channels: readonly string[], count: number, data: string): Promise<void> {
    const commands = channels.flatMap((channel) =>
      Array.from({ length: count }, () => ({ publish: { channel, data } })),
    );
    for (let at = 0; at < commands.length; at += BATCH) {
      const body = JSON.stringify({ commands: commands.slice(at, at + BATCH), parallel: true });
      const answer = await fetch(`${this.process.url}/api/batch`, { method: "POST", body });
      const text = await answer.text();
      if (!answer.ok || text.includes('"error"')) throw new Error(`a publish was refused: ${text.slice(0, 200)}`);
    }
  }

  /** Memory of its own that the system has given it, in bytes: without mapped files such as that of `embedded`. */
  residentBytes(): number {
    const [, kilobytes = "0"] = /RssAnon:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.pid}/status`, "utf8")) ?? [];
    return Number(kilobytes) * 1024;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
  }
}

const BATCH = 1000;
