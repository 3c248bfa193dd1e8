/** A store behind a local socket, for the tests of its remote side: its owner can be taken away and brought back. */
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { systemClock } from "../../clock.ts";
import { ManualClock } from "../../manual-clock.ts";
import type { ConformanceHarness } from "../conformance.ts";
import type { Backbone } from "../contract.ts";
import { BACKBONE_TYPES } from "../registry.ts";
import { RemoteBackbone } from "./remote.ts";
import { StoreServer } from "./store-server.ts";

export class RemoteHarness implements ConformanceHarness {
  /** The store's. */
  readonly clock: ManualClock;
  readonly folder: string;
  readonly #type: "memory" | "embedded";
  readonly #makeOwner: (folder: string, clock: ManualClock) => Backbone;
  readonly #opened: Backbone[] = [];
  readonly #ends: (() => Promise<void>)[] = [];
  #owner: { readonly backbone: Backbone; readonly server: StoreServer } | undefined;

  private constructor(
    folder: string,
    type: "memory" | "embedded",
    makeOwner: (folder: string, clock: ManualClock) => Backbone,
  ) {
    this.folder = folder;
    this.clock = new ManualClock(Date.now());
    this.#type = type;
    this.#makeOwner = makeOwner;
  }

  static async start(
    type: "memory" | "embedded",
    makeOwner: (folder: string, clock: ManualClock) => Backbone,
  ): Promise<RemoteHarness> {
    const harness = new RemoteHarness(await mkdtemp(path.join(tmpdir(), "todoku-remote-")), type, makeOwner);
    await harness.startOwner();
    return harness;
  }

  get place(): string {
    return path.join(this.folder, "store.sock");
  }

  /** The store itself. */
  get owner(): Backbone {
    if (!this.#owner) throw new Error("the owner does not run");
    return this.#owner.backbone;
  }

  async startOwner(): Promise<void> {
    const backbone = this.#makeOwner(this.folder, this.clock);
    await backbone.open();
    this.#owner = { backbone, server: await StoreServer.listen(backbone, this.place, systemClock) };
  }

  async stopOwner(): Promise<void> {
    await this.#owner?.server.close();
    await this.#owner?.backbone.close();
    this.#owner = undefined;
  }

  make(place: string = this.place): Backbone {
    const store = { type: this.#type, ...BACKBONE_TYPES[this.#type] };
    const backbone = new RemoteBackbone("far", store, place, systemClock);
    this.#opened.push(backbone);
    return backbone;
  }

  async open(): Promise<Backbone> {
    const backbone = this.make();
    await backbone.open();
    return backbone;
  }

  /** Serves another store beside it, and opens a remote side of that; `cut` takes it away. */
  async served(backbone: Backbone): Promise<{ readonly backbone: Backbone; cut(): Promise<void> }> {
    const place = path.join(this.folder, `${this.#opened.length}.sock`);
    const server = await StoreServer.listen(backbone, place, systemClock);
    this.#ends.push(() => server.close());
    const remote = this.make(place);
    await remote.open();
    return { backbone: remote, cut: () => server.close() };
  }

  /** A socket that says this line to whoever comes, and a remote side that is not open yet. */
  async greeting(line: string): Promise<{ readonly backbone: Backbone }> {
    const place = path.join(this.folder, `${this.#opened.length}.sock`);
    const server = createServer((socket) => socket.on("error", () => {}).write(`${line}\n`)).listen(place);
    await once(server, "listening");
    this.#ends.push(async () => void server.close());
    return { backbone: this.make(place) };
  }

  async restart(): Promise<void> {
    await this.stopOwner();
    await this.startOwner();
  }

  advance(ms: number): Promise<void> {
    return this.clock.advance(ms);
  }

  now(): number {
    return this.clock.now();
  }

  async close(): Promise<void> {
    await Promise.all(this.#opened.map((backbone) => backbone.close()));
    await Promise.all(this.#ends.map((end) => end()));
    await this.stopOwner();
    await rm(this.folder, { recursive: true });
  }
}
