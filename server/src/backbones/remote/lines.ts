/**
 * Items on a socket: what is said in one turn of the event loop leaves as one line, a JSON array. JSON text has no newline of its
 * own, so that a newline ends it; who reads parses a line at once.
 */
import type { Socket } from "node:net";
import type { Clock } from "../../clock.ts";
import type { Item } from "./wire.ts";

const NEWLINE = 0x0a;
/** A turn that says more than so many characters says it in several lines. */
const LINE_CHARS = 1024 * 1024;
/** Longer lines are no lines of ours. A text can hold about twice as much. */
const LONGEST_LINE = 256 * 1024 * 1024;

export class Lines {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #received: (items: readonly Item[]) => void;
  #items: string[] = [];
  #chars = 0;
  /** Of a line whose end has not come yet. */
  #parts: Buffer[] = [];
  #partBytes = 0;

  /** `received` is given the items of each line. What cannot be read ends the connection. */
  constructor(socket: Socket, clock: Clock, received: (items: readonly Item[]) => void) {
    this.#socket = socket;
    this.#clock = clock;
    this.#received = received;
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
  }

  /** Says an item, given as JSON text, at the end of the turn. */
  add(item: string): void {
    if (this.#items.push(item) === 1) this.#clock.soon(() => this.flush());
    this.#chars += item.length;
    if (this.#chars > LINE_CHARS) this.flush();
  }

  /** Roughly how many bytes the other side has not taken yet. */
  get waiting(): number {
    return this.#chars + this.#socket.writableLength;
  }

  flush(): void {
    const items = this.#items;
    if (items.length === 0) return;
    this.#items = [];
    this.#chars = 0;
    // Handed over as a text, Node would ask the system for three times its size, anew for every write.
    if (this.#socket.writable) this.#socket.write(Buffer.from(`[${items.join(",")}]\n`));
  }

  #take(chunk: Buffer): void {
    let begin = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, begin)) {
      const rest = chunk.subarray(begin, end);
      begin = end + 1;
      const line = this.#parts.length === 0 ? rest : Buffer.concat([...this.#parts, rest]);
      this.#parts = [];
      this.#partBytes = 0;
      if (!this.#read(line)) return;
    }
    if (begin === chunk.length) return;
    this.#parts.push(begin === 0 ? chunk : chunk.subarray(begin));
    this.#partBytes += chunk.length - begin;
    if (this.#partBytes > LONGEST_LINE) this.#socket.destroy();
  }

  #read(line: Buffer): boolean {
    let items: unknown;
    try {
      items = JSON.parse(line.toString());
    } catch {
      items = undefined;
    }
    if (Array.isArray(items) && items.every((item) => Array.isArray(item))) {
      this.#received(items as readonly Item[]);
      return true;
    }
    this.#socket.destroy();
    return false;
  }
}
