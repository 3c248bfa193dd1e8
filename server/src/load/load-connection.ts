/**
 * One subscriber of a load: a WebSocket on a bare TCP socket, with as little work per frame as can be. Everything that it
 * receives is counted and checked.
 */
import { connect as connectTcp, type OnReadOpts, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { ChannelStream } from "./channel-stream.ts";
import type { Dialect, Step } from "./dialect.ts";
import { monotonicMicroseconds, readStamp } from "./stamp.ts";
import type { Tally } from "./tally.ts";
import { clientFrame, frameAt, handshake, OPCODE } from "./web-socket-frames.ts";

const NEWLINE = 0x0a;
const END_OF_HEAD = "\r\n\r\n";
/** One buffer for the reads of all connections: what is in it is taken before the next one reads. */
const READ_BUFFER = Buffer.allocUnsafe(256 * 1024);
const NOTHING = Buffer.alloc(0);
const PATIENCE_MS = 30_000;

export interface Target {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

export interface ConnectionOptions {
  readonly target: Target;
  readonly dialect: Dialect;
  readonly streams: readonly ChannelStream[];
  readonly tally: Tally;
  /** Of a message's data, as JSON. */
  readonly bytes: number;
  /** Which connection it is, counted from 0. */
  readonly number: number;
  /** Whether others are subscribed to the same channels. */
  readonly shared: boolean;
}

/** Where a subscription stands in its channel. */
interface Place {
  readonly stream: ChannelStream;
  /** Index in the stream of what should come next. */
  index: number;
  /** Number of the message that should come next. */
  next: number;
}

export class LoadConnection {
  /** Resolves with the reason when the connection is over. */
  readonly closed: Promise<string>;
  readonly #options: ConnectionOptions;
  readonly #socket: Socket;
  readonly #places: readonly Place[];
  readonly #only: Place | undefined;
  /** The beginning of a frame whose end has not come yet. */
  #rest: Buffer = NOTHING;
  #take: (bytes: Buffer, length: number) => void = (bytes, length) => this.#takeHead(bytes, length);
  #steps: readonly Step[] = [];
  #ready = Promise.withResolvers<void>();
  #reason = "the server closed the connection";

  private constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#places = options.streams.map((stream) => ({ stream, index: stream.end, next: 0 }));
    this.#only = this.#places.length === 1 ? this.#places[0] : undefined;
    const { host, port, tls } = options.target;
    const onread: OnReadOpts = {
      buffer: READ_BUFFER,
      callback: (length) => {
        this.#take(READ_BUFFER, length);
        return true;
      },
    };
    if (tls) {
      this.#socket = connectTls({ host, port, servername: host, ALPNProtocols: ["http/1.1"] });
      this.#socket.setNoDelay(true);
      this.#socket.on("data", (chunk: Buffer) => this.#take(chunk, chunk.length));
    } else {
      this.#socket = connectTcp({ host, port, noDelay: true, onread });
    }
    this.#socket.setTimeout(PATIENCE_MS, () => this.#fail("no answer"));
    this.#socket.once(tls ? "secureConnect" : "connect", () =>
      this.#socket.write(handshake(`${host}:${port}`, options.dialect.path)),
    );
    this.#socket.on("error", (error: NodeJS.ErrnoException) => this.#fail(error.code ?? error.message));
    this.closed = new Promise((resolve) =>
      this.#socket.once("close", () => {
        this.#ready.reject(new Error(this.#reason));
        resolve(this.#reason);
      }),
    );
  }

  /** Connects and subscribes; resolves when both were answered. Rejects with the server's words when it refuses. */
  static async open(options: ConnectionOptions): Promise<LoadConnection> {
    const connection = new LoadConnection(options);
    await connection.#ready.promise;
    return connection;
  }

  /** Sends a text frame. Returns whether the system has taken everything that was sent. */
  send(text: string): boolean {
    return this.#socket.write(clientFrame(text));
  }

  /** How many messages of its channels it should have received and has not, when so many were published on each. */
  missing(publishedOn: (channel: string) => number): number {
    return this.#places.reduce((sum, { stream, next }) => sum + Math.max(0, publishedOn(stream.channel) - next), 0);
  }

  end(): void {
    this.#reason = "ended by us";
    this.#socket.destroy();
  }

  #fail(reason: string): void {
    this.#reason = reason;
    this.#socket.destroy();
  }

  /** The answer to the handshake. */
  #takeHead(bytes: Buffer, length: number): void {
    this.#rest = Buffer.concat([this.#rest, bytes.subarray(0, length)]);
    const end = this.#rest.indexOf(END_OF_HEAD);
    if (end === -1) return;
    const status = this.#rest.subarray(0, this.#rest.indexOf("\r\n")).toString();
    if (!status.includes(" 101")) return this.#fail(`the server refused the WebSocket: ${status}`);
    const behind = this.#rest.subarray(end + END_OF_HEAD.length);
    this.#rest = NOTHING;
    const { dialect, streams, number } = this.#options;
    const steps = dialect.greeting(
      streams.map(({ channel }) => channel),
      number,
    );
    this.#take = (more, size) => this.#takeFrames(more, size);
    this.#step(steps);
    if (behind.length > 0) this.#take(behind, behind.length);
  }

  /** Goes on with the greeting. */
  #step(steps: readonly Step[]): void {
    this.#steps = steps;
    const [next] = steps;
    if (!next) {
      this.#socket.setTimeout(0);
      this.#ready.resolve();
    } else if (next.say !== undefined) {
      this.send(next.say);
    }
  }

  #takeFrames(chunk: Buffer, size: number): void {
    let bytes = chunk;
    let length = size;
    if (this.#rest.length > 0) {
      bytes = Buffer.concat([this.#rest, chunk.subarray(0, size)]);
      length = bytes.length;
      this.#rest = NOTHING;
    }
    const now = monotonicMicroseconds();
    let at = 0;
    for (;;) {
      const frame = frameAt(bytes, at, length);
      if (!frame) break;
      at = frame.end;
      if (frame.opcode === OPCODE.text) this.#takeText(bytes, frame.begin, frame.end, now);
      else this.#takeControl(frame.opcode, bytes.subarray(frame.begin, frame.end));
    }
    // The read buffer is overwritten by the next read, also of another connection.
    if (at < length) this.#rest = Buffer.from(bytes.subarray(at, length));
  }

  #takeControl(opcode: number, payload: Buffer): void {
    if (opcode === OPCODE.ping) this.#socket.write(clientFrame(payload, OPCODE.pong));
    else if (opcode === OPCODE.close)
      this.#fail(
        `closed with ${payload.length < 2 ? 1005 : payload.readUInt16BE(0)} ${payload.subarray(2).toString()}`,
      );
    else if (opcode !== OPCODE.pong) this.#fail(`a frame of kind ${opcode} that nobody expects`);
  }

  #takeText(bytes: Buffer, begin: number, end: number, now: number): void {
    const { tally } = this.#options;
    tally.frames++;
    tally.bytes += end - begin;
    const place = this.#only;
    if (place && this.#steps.length === 0) {
      const behind = place.stream.match(place.index, bytes, begin, end);
      if (behind !== -1 && this.#isNext(place, behind)) return this.#advance(place, behind, now);
    }
    for (let from = begin; from < end;) {
      const newline = bytes.indexOf(NEWLINE, from);
      const to = newline === -1 || newline > end ? end : newline;
      this.#takeLine(bytes, from, to, now);
      from = to + 1;
    }
  }

  /** Whether the stream holds the messages up to `behind` without a gap, from the next of this subscriber on. */
  #isNext({ stream, index, next }: Place, behind: number): boolean {
    return stream.sequenceAt(index) === next && stream.sequenceAt(behind - 1) === next + behind - 1 - index;
  }

  #advance(place: Place, behind: number, now: number): void {
    const { tally } = this.#options;
    const { stream } = place;
    tally.delivered += behind - place.index;
    place.next += behind - place.index;
    for (let i = place.index; i < behind; i++) tally.record(stream.dueAt(i), now);
    place.index = behind;
  }

  #takeLine(bytes: Buffer, from: number, to: number, now: number): void {
    const only = this.#only;
    if (only && this.#steps.length === 0) {
      const behind = only.stream.match(only.index, bytes, from, to);
      if (behind !== -1 && this.#isNext(only, behind)) return this.#advance(only, behind, now);
    }
    const line = bytes.toString("utf8", from, to);
    const { dialect, tally } = this.#options;
    if (this.#steps.length > 0) return this.#takeAnswer(line);
    const incoming = dialect.read(line);
    if (!incoming) {
      const answer = dialect.answer?.(line);
      if (answer?.say !== undefined) this.send(answer.say);
      if (!answer && line.includes(dialect.refusal)) tally.wrong++;
      return;
    }
    const place =
      only?.stream.channel === incoming.channel
        ? only
        : this.#places.find(({ stream }) => stream.channel === incoming.channel);
    const stamp = readStamp(incoming.data, this.#options.bytes);
    if (!place || !stamp) {
      tally.wrong++;
      return;
    }
    const { sequence, due } = stamp;
    if (sequence < place.next) {
      tally.repeated++;
      return;
    }
    tally.lost += sequence - place.next;
    place.next = sequence + 1;
    tally.delivered++;
    tally.record(due, now);
    const { stream } = place;
    if (this.#options.shared && sequence > stream.sequenceAt(stream.end - 1))
      stream.append(bytes, from, to, sequence, due);
    place.index = Math.max(place.index, stream.first);
    while (place.index < stream.end && stream.sequenceAt(place.index) <= sequence) place.index++;
  }

  #takeAnswer(line: string): void {
    const { refusal } = this.#options.dialect;
    if (line.includes(refusal)) return this.#fail(`refused: ${line.slice(0, 200)}`);
    const [step, ...others] = this.#steps;
    if (step && line.includes(step.expect)) this.#step(others);
  }
}
