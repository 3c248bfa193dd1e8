/** The tables of the embedded log in one LMDB environment, and what their rows hold. */
import { closeSync, existsSync, openSync, readSync, statSync } from "node:fs";
import path from "node:path";
import type { Epoch } from "@todoku/protocol";
import { open, type Database, type RootDatabase } from "lmdb";
import { BackboneError, type Cursor, type Message } from "../contract.ts";
import { ChannelRows } from "./channel-rows.ts";
import { ForkRows } from "./fork-rows.ts";
import { KeyRows } from "./key-rows.ts";
import { QueueRows } from "./queue-rows.ts";

// Rows of which there are many are lists: the names of fields would be stored with each.

/** `[id, time, data, info?, tags?]`. */
export type MessageRow = [string, number, string, Message["info"]?, Message["tags"]?];

export interface CursorRow {
  fence: number;
  cursor?: Cursor;
}

interface AboutRow {
  readonly format: number;
  readonly epoch: string;
  /** Older epochs that the present one goes on with, oldest first; absent where there are none. */
  readonly forks?: readonly string[];
}

const FORMAT = 2;
/** In the data folder. */
export const LOG_FILE = "log.mdb";

export class Store {
  /** The backbone's, for errors. */
  readonly name: string;
  readonly root: RootDatabase<AboutRow, string>;
  /** `[channel, offset]`. */
  readonly messages: Database<MessageRow, [string, number]>;
  readonly channels: ChannelRows;
  readonly keys: KeyRows;
  /** `[due, channel]`: the channels in the order in which their oldest message reaches its age. */
  readonly dues: Database<true, [number, string]>;
  readonly cursors: Database<CursorRow, string>;
  readonly queues: QueueRows;
  readonly epoch: string;
  readonly #forks: ForkRows;

  private constructor(name: string, root: RootDatabase<AboutRow, string>, { epoch, forks = [] }: AboutRow) {
    this.name = name;
    this.root = root;
    this.messages = root.openDB({ name: "messages" });
    this.channels = new ChannelRows(root);
    this.keys = new KeyRows(root);
    this.dues = root.openDB({ name: "dues" });
    this.cursors = root.openDB({ name: "cursors" });
    this.queues = new QueueRows(root, this.keys);
    this.epoch = epoch;
    this.#forks = new ForkRows(root, forks);
  }

  /** @throws BackboneError `invalid` for a folder that is no store of this format, or a damaged one. */
  static async open(name: string, folder: string, newEpoch: () => string): Promise<Store> {
    const file = path.join(folder, LOG_FILE);
    let root: RootDatabase<AboutRow, string> | undefined;
    try {
      checkWhole(name, file);
      root = open<AboutRow, string>({ path: file, maxDbs: 16, overlappingSync: false });
      return new Store(name, root, aboutIn(root, name, file, newEpoch));
    } catch (error) {
      await root?.close();
      throw error instanceof BackboneError ? error : damaged(name, file, error);
    }
  }

  /** Everything that writes runs in one. What it throws comes through, and nothing of it is stored then. */
  transactionSync<T>(work: () => T): T {
    try {
      return this.root.transactionSync(() => {
        const result = work();
        this.channels.store();
        return result;
      });
    } catch (error) {
      this.channels.forget();
      throw error;
    }
  }

  /** The present epoch, and up to where a channel shares the history of older ones. */
  lineage(channel: string): Epoch {
    const forks = this.#forks.of(channel);
    return forks ? { epoch: this.epoch, forks } : { epoch: this.epoch };
  }

  /** Bytes that `fork` takes at most. */
  sizeOfFork(): number {
    return this.#forks.sizeOfNext(this.channels);
  }

  /**
   * Begins an epoch that goes on with the history of the present one, of each channel up to its head. Returns how many channels have
   * one. The store is to be opened anew after it.
   */
  fork(epoch: string): number {
    const about = aboutTable(this.root);
    const forks = this.#forks.next(this.epoch);
    return this.transactionSync(() => {
      about.putSync("about", { format: FORMAT, epoch, forks: forks.epochs });
      return forks.store(this.channels);
    });
  }

  /** What the tables take, and what the file has beside them to be used again; in bytes. */
  sizes(): { readonly used: number; readonly unused: number } {
    let pages = 0;
    let end = 0;
    let bytesPerPage = 0;
    const own = [
      this.messages,
      this.channels.table,
      ...this.keys.tables,
      this.dues,
      this.cursors,
      ...this.#forks.tables,
    ];
    for (const table of [...own, ...this.queues.all]) {
      const stats = table.getStats() as PageCounts;
      pages += stats.treeBranchPageCount + stats.treeLeafPageCount + stats.overflowPages;
      end = stats.lastPageNumber + 1;
      bytesPerPage = stats.pageSize;
    }
    return { used: pages * bytesPerPage, unused: Math.max(0, end - pages) * bytesPerPage };
  }
}

interface PageCounts {
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
  readonly pageSize: number;
  /** Of the whole file. */
  readonly lastPageNumber: number;
}

/** The first epoch is made with the store. */
function aboutIn(root: RootDatabase, name: string, file: string, newEpoch: () => string): AboutRow {
  const about = aboutTable(root);
  const known = about.get("about");
  if (!known) {
    const made = { format: FORMAT, epoch: newEpoch() };
    about.putSync("about", made);
    return made;
  }
  if (known.format !== FORMAT) {
    throw new BackboneError(
      "invalid",
      `[${name}] ${file} has format ${known.format}, this version reads ${FORMAT}. ` +
        `Use the version that wrote it, or set backbones.${name}.path to another folder`,
    );
  }
  return known;
}

function aboutTable(root: RootDatabase): Database<AboutRow, string> {
  return root.openDB<AboutRow, string>({ name: "about" });
}

function damaged(name: string, file: string, cause: unknown): BackboneError {
  return new BackboneError(
    "invalid",
    `[${name}] ${file} cannot be read as a log (${cause instanceof Error ? cause.message : String(cause)}). ` +
      `Restore it from a backup and run \`todoku restored\`, or move it away to begin with an empty log: what it kept is then lost`,
    { cause },
  );
}

const META_BYTES = 160;
const NO_PAGE = 0xffff_ffff_ffff_ffffn;

/**
 * LMDB maps the file into memory; reading past the end of a shortened file would end the process with SIGBUS. So its two
 * meta pages are asked first where the roots of the newest transaction lie.
 *
 * Layout (64 bit): MDB_page and MDB_meta in libraries/liblmdb/mdb.c of LMDB.
 */
function checkWhole(name: string, file: string): void {
  if (!existsSync(file)) return;
  const { size } = statSync(file);
  if (size === 0) return;
  const [first, second] = readMetas(file);
  if (!first || !second) throw damaged(name, file, new Error("it does not begin like one"));
  const newest = second.transaction > first.transaction ? second : first;
  const end = newest.roots.reduce((most, root) => (root === NO_PAGE || root < most ? most : root), 0n);
  const needed = (end + 1n) * BigInt(newest.pageBytes);
  if (BigInt(size) < needed)
    throw damaged(name, file, new Error(`it has ${size} bytes and should have ${needed} or more`));
}

interface Meta {
  readonly pageBytes: number;
  readonly roots: readonly bigint[];
  readonly transaction: bigint;
}

function readMetas(file: string): [Meta | undefined, Meta | undefined] {
  const handle = openSync(file, "r");
  try {
    const first = readMeta(handle, 0);
    return [first, first && readMeta(handle, first.pageBytes)];
  } finally {
    closeSync(handle);
  }
}

function readMeta(handle: number, at: number): Meta | undefined {
  const page = Buffer.alloc(META_BYTES);
  if (readSync(handle, page, 0, META_BYTES, at) < META_BYTES || page.readUInt32LE(24) !== 0xbeefc0de) return undefined;
  const pageBytes = page.readUInt32LE(48);
  if (pageBytes < 512 || pageBytes > 65_536) return undefined;
  return {
    pageBytes,
    roots: [page.readBigUInt64LE(88), page.readBigUInt64LE(136)],
    transaction: page.readBigUInt64LE(152),
  };
}
