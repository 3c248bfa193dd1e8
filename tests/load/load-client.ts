/**
 * One client of a crowd, on a bare TCP socket: it subscribes, answers pings, counts publications, and checks that their offsets
 * rise by one. It looks at nothing else, so that thousands of them fit into one process.
 */
import { connect, type Socket } from "node:net";
import { clientFrame, frameAt, handshake, OPCODE } from "../../server/src/load/web-socket-frames.ts";

/** Where a client stood in a channel. */
interface Place {
  epoch: string;
  offset: number;
}

export interface LoadClientOptions {
  readonly port: number;
  /** An address of this machine to come from: each has ports of its own. */
  readonly from: string;
  /** The connect request. */
  readonly connect: object;
  readonly channels: readonly string[];
}

/** How a connection ended that was not ended here. */
export type Ending = { readonly refused: string } | { readonly closed: number };

/** A server that says nothing for so long while a client connects is not going to. */
const SILENCE_MS = 60_000;
const PATH = "/connection/websocket";
const PONG = clientFrame("{}");
const DATA = Buffer.from('"data":');
const OFFSET = Buffer.from('"offset":');
const END_OF_HEAD = Buffer.from("\r\n\r\n");
const [ZERO, NINE] = [0x30, 0x39];

export class LoadClient {
  readonly options: LoadClientOptions;
  /** Publications, recovered ones too. */
  received = 0;
  /** Publications that did not follow on the one before. */
  disordered = 0;
  /** Told of as lost, in gaps. */
  lost = 0;
  /** Called with each publication that is received. */
  onReceived: () => void = () => {};
  /** Called when the connection ends without `drop`. */
  onEnded: (ending: Ending) => void = () => {};
  readonly #places = new Map<string, Place>();
  #socket: Socket | undefined;
  #rest: Buffer | undefined;
  #upgraded = false;
  #answers = 0;
  #subscribed = Promise.withResolvers<void>();
  #code = 1006;

  constructor(options: LoadClientOptions) {
    this.options = options;
  }

  /**
   * Connects, and subscribes in the same frame as `connect`; where it was subscribed before it resumes. Resolves when all
   * subscriptions were answered; rejects when it is refused, which `onEnded` is not told.
   */
  open(): Promise<void> {
    const { port, from, channels } = this.options;
    const socket = connect({ port, host: "127.0.0.1", localAddress: from, noDelay: true });
    this.#socket = socket;
    this.#rest = undefined;
    this.#upgraded = false;
    this.#answers = 0;
    this.#code = 1006;
    this.#subscribed = Promise.withResolvers<void>();
    const { promise, reject } = this.#subscribed;
    socket.once("connect", () => socket.write(handshake(`127.0.0.1:${port}`, PATH)));
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    let failure = "the connection was cut";
    socket.setTimeout(SILENCE_MS, () => {
      failure = `the server said nothing for ${SILENCE_MS} ms`;
      socket.destroy();
    });
    promise.then(
      () => socket.setTimeout(0),
      () => {},
    );
    socket.on("error", (error: NodeJS.ErrnoException) => {
      failure = error.code ?? error.message;
      socket.destroy();
    });
    socket.once("close", () => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      if (this.#answers < channels.length + 1) reject(new Error(failure));
      else this.onEnded({ closed: this.#code });
    });
    return promise;
  }

  get isOpen(): boolean {
    return this.#socket !== undefined;
  }

  /** Ends the connection without a word, as a lost network does. Resolves when the socket is gone. */
  drop(): Promise<void> {
    const socket = this.#socket;
    this.#socket = undefined;
    if (!socket) return Promise.resolve();
    return new Promise((resolve) => {
      socket.once("close", () => resolve());
      socket.destroy();
    });
  }

  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  send(text: string): void {
    this.#socket?.write(clientFrame(text));
  }

  /** As the SDK does: `connect` and all subscribes in one frame. */
  #begin(): void {
    const { connect: request, channels } = this.options;
    const commands = [{ id: 1, connect: request }, ...channels.map((channel, i) => this.#subscribe(channel, i + 2))];
    this.send(commands.map((command) => JSON.stringify(command)).join("\n"));
  }

  #subscribe(channel: string, id: number): object {
    const place = this.#places.get(channel);
    return { id, subscribe: { channel, ...(place && { recover: true, ...place }) } };
  }

  #take(chunk: Buffer): void {
    let bytes = this.#rest ? Buffer.concat([this.#rest, chunk]) : chunk;
    this.#rest = undefined;
    if (!this.#upgraded) {
      const end = bytes.indexOf(END_OF_HEAD);
      if (end === -1) {
        this.#rest = bytes;
        return;
      }
      const status = bytes.toString("latin1", 9, 12);
      if (status !== "101") return this.#refuse(`the server answered ${status}`);
      this.#upgraded = true;
      this.#begin();
      bytes = bytes.subarray(end + END_OF_HEAD.length);
    }
    let at = 0;
    for (;;) {
      const frame = frameAt(bytes, at, bytes.length);
      if (!frame) break;
      at = frame.end;
      this.#frame(frame.opcode, bytes.subarray(frame.begin, frame.end));
    }
    if (at < bytes.length) this.#rest = at === 0 ? bytes : Buffer.from(bytes.subarray(at));
  }

  #frame(opcode: number, payload: Buffer): void {
    if (opcode === OPCODE.close) {
      if (payload.length >= 2) this.#code = payload.readUInt16BE(0);
      this.#socket?.end();
    } else if (opcode === OPCODE.text) {
      let begin = 0;
      while (begin < payload.length) {
        const newline = payload.indexOf(0x0a, begin);
        const end = newline === -1 ? payload.length : newline;
        this.#line(payload.subarray(begin, end));
        begin = end + 1;
      }
    }
  }

  /** One reply or push. Text is made of the short ones only. */
  #line(line: Buffer): void {
    if (line.length === 2) {
      this.#socket?.write(PONG);
    } else if (line[2] === PUSH) {
      if (line.includes('"gap"')) this.lost += Number(/"to":(\d+)/.exec(line.toString())?.[1]);
      else if (line.includes('"pub"')) this.#publications(line, channelOf(line), 0);
    } else {
      this.#answer(line);
    }
  }

  #answer(line: Buffer): void {
    const list = line.indexOf('"publications"');
    const head = JSON.parse(list === -1 ? line.toString() : `${line.toString("utf8", 0, list - 1)}}}`) as {
      id: number;
      error?: object;
      subscribe?: { epoch?: string; offset?: number; recovered?: boolean };
    };
    if (head.error) return this.#refuse(JSON.stringify(head.error));
    const channel = this.options.channels[head.id - 2];
    if (head.subscribe && channel !== undefined) {
      const { epoch, offset = 0, recovered } = head.subscribe;
      const known = this.#places.get(channel);
      if (known && recovered !== true) return this.#refuse(`${channel} could not be recovered`);
      if (epoch !== undefined && !known) this.#places.set(channel, { epoch, offset });
      if (list !== -1) this.#publications(line, channel, list);
    }
    if (++this.#answers === this.options.channels.length + 1) this.#subscribed.resolve();
  }

  #publications(line: Buffer, channel: string, from: number): void {
    const place = this.#places.get(channel);
    for (let at = line.indexOf(DATA, from); at !== -1;) {
      const next = line.indexOf(DATA, at + DATA.length);
      const offsetAt = line.indexOf(OFFSET, at);
      if (place && offsetAt !== -1) {
        const offset = numberAt(line, offsetAt + OFFSET.length);
        if (offset !== place.offset + 1) this.disordered++;
        place.offset = offset;
      }
      this.received++;
      this.onReceived();
      at = next;
    }
  }

  #refuse(refused: string): void {
    const early = this.#answers < this.options.channels.length + 1;
    this.#subscribed.reject(new Error(refused));
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
    if (!early) this.onEnded({ refused });
  }
}

/** The third byte of `{"push":…` */
const PUSH = 0x70;

/** The channel of `{"push":{"channel":"…",…`; names of a crowd's channels need no escapes. */
function channelOf(line: Buffer): string {
  const begin = 20;
  return line.toString("latin1", begin, line.indexOf(0x22, begin));
}

function numberAt(bytes: Buffer, at: number): number {
  let number = 0;
  for (let digit = bytes[at] ?? 0; digit >= ZERO && digit <= NINE; digit = bytes[++at] ?? 0) {
    number = number * 10 + digit - ZERO;
  }
  return number;
}
