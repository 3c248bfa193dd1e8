/** One WebSocket from its opening to its end: commands out, replies and pushes in, and the watch for a dead peer. */
import {
  decodeReplies,
  type Method,
  type Push,
  type Reply,
  type Requests,
  type Results,
  ERRORS,
  TodokuError,
} from "@todoku/protocol";
import type { Clock } from "./clock.ts";
import { replyError, unreachable } from "./errors.ts";
import type { WebSocketConstructor, WebSocketLike } from "./web-socket.ts";

export interface ConnectionEvents {
  /** Commands asked in this call leave in one frame. */
  opened(): void;
  /** `size` is about how many characters the push had. */
  push(push: Push, size: number): void;
  /** It is over, by whichever side but this one. Nothing follows. */
  ended(code: number, reason: string): void;
}

export interface ConnectionOptions {
  readonly url: string;
  readonly WebSocket: WebSocketConstructor;
  readonly clock: Clock;
  /** For the opening, and for each answer. */
  readonly timeoutMs: number;
}

/** Called once: with the result, or with why there is none. */
export type Answered<M extends Method> = (error: TodokuError | undefined, result: Results[M]) => void;

interface Asked {
  readonly answered: (error: TodokuError | undefined, result: never) => void;
  readonly method: Method;
  /** How many characters it has. */
  readonly size: number;
  readonly cancel: () => void;
}

/** A frame is sent when it has this many characters; a single longer command is sent as it is. */
const FRAME_CHARACTERS = 60_000;
const FRAME_COMMANDS = 500;
/** A ping may be this late before the connection counts as dead. */
const PING_GRACE_MS = 10_000;
/** What the transport reports when a connection ended without a closing handshake. */
const NO_HANDSHAKE = 1006;
/** The server takes no frame of this size. */
const TOO_BIG = 1009;

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #events: ConnectionEvents;
  readonly #socket: WebSocketLike;
  readonly #asked = new Map<number, Asked>();
  #lastId = 0;
  #lines: string[] = [];
  #ended = false;
  readonly #closed: Promise<void>;
  #silenceMs = Number.POSITIVE_INFINITY;
  #answersPings = false;
  #heardAt = 0;
  #cancelWatch: () => void;

  constructor(options: ConnectionOptions, events: ConnectionEvents) {
    this.#options = options;
    this.#events = events;
    const { clock, timeoutMs, WebSocket } = options;
    const socket = new WebSocket(options.url);
    this.#socket = socket;
    this.#cancelWatch = clock.after(timeoutMs, () => this.#fail(`not open after ${timeoutMs} ms`));
    socket.addEventListener("open", () => {
      if (this.#ended) return socket.close();
      this.#cancelWatch();
      events.opened();
    });
    socket.addEventListener("message", ({ data }) => this.#receive(data));
    this.#closed = new Promise((resolve) => {
      socket.addEventListener("close", ({ code, reason }) => {
        resolve();
        this.#end(code, reason);
      });
    });
    // A close follows, and says as much.
    socket.addEventListener("error", () => {});
  }

  /** Sends a command; commands of one turn travel in one frame, in the order of the calls. */
  ask<M extends Method>(method: M, request: Requests[M], answered: Answered<M>): void {
    this.askText(method, JSON.stringify(request), answered);
  }

  /** As `ask`, with a request that is JSON text already. */
  askText<M extends Method>(method: M, request: string, answered: Answered<M>): void {
    if (this.#ended) return answered(unreachable("the connection was lost"), undefined as never);
    const { clock, timeoutMs } = this.#options;
    const id = ++this.#lastId;
    const cancel = clock.after(timeoutMs, () => {
      this.#asked.delete(id);
      answered(unreachable(`${method} was not answered within ${timeoutMs} ms`), undefined as never);
    });
    const line = `{"id":${id},"${method}":${request}}`;
    this.#asked.set(id, { method, answered, cancel, size: line.length });
    this.#write(line);
  }

  /** As `ask`, for those who can wait a turn longer. */
  request<M extends Method>(method: M, request: Requests[M]): Promise<Results[M]> {
    return new Promise((resolve, reject) => {
      this.ask(method, request, (error, result) => (error ? reject(error) : resolve(result)));
    });
  }

  /** Sends a command that has no answer. */
  tell<M extends Method>(method: M, request: Requests[M]): void {
    this.#write(`{"${method}":${JSON.stringify(request)}}`);
  }

  /** From now on pings come this often, and silence for longer ends the connection. */
  watch(pingMs: number, answersPings: boolean): void {
    this.#answersPings = answersPings;
    this.#silenceMs = pingMs + PING_GRACE_MS;
    this.#heardAt = this.#options.clock.now();
    this.#watchOn(this.#silenceMs);
  }

  /** Ends it from this side: `ended` is not called. Resolves when the socket is closed; a dead peer can keep that waiting. */
  close(): Promise<void> {
    this.#flush();
    this.#release("the connection was closed");
    this.#socket.close(1000);
    return this.#closed;
  }

  #write(line: string): void {
    if (this.#lines.push(line) === 1) queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    const lines = this.#lines;
    this.#lines = [];
    if (this.#ended) return;
    for (let from = 0, to = 0; from < lines.length; from = to) {
      let characters = 0;
      while (to < lines.length && to - from < FRAME_COMMANDS) {
        characters += lines[to]?.length ?? 0;
        if (characters > FRAME_CHARACTERS && to > from) break;
        to++;
      }
      this.#socket.send(lines.slice(from, to).join("\n"));
    }
  }

  #receive(data: unknown): void {
    if (this.#ended || typeof data !== "string") return;
    this.#heardAt = this.#options.clock.now();
    let replies: Reply[];
    try {
      replies = decodeReplies(data);
    } catch (error) {
      return this.#fail(`a frame that cannot be read: ${String(error)}`);
    }
    const size = Math.ceil(data.length / replies.length);
    for (const reply of replies) {
      // What came before in this frame may have ended the connection.
      if (this.#ended) return;
      this.#take(reply, size);
    }
  }

  #take(reply: Reply, size: number): void {
    const { id, push } = reply;
    if (push) return this.#events.push(push, size);
    if (id === undefined) {
      if (this.#answersPings) this.#write("{}");
      return;
    }
    const asked = this.#asked.get(id);
    if (!asked) return;
    this.#asked.delete(id);
    asked.cancel();
    asked.answered(reply.error && replyError(reply.error), (reply[asked.method] ?? {}) as never);
  }

  #watchOn(ms: number): void {
    const { clock } = this.#options;
    this.#cancelWatch = clock.after(ms, () => {
      const left = this.#heardAt + this.#silenceMs - clock.now();
      if (left > 0) this.#watchOn(left);
      else this.#fail(`nothing was heard for ${this.#silenceMs} ms`);
    });
  }

  #fail(reason: string): void {
    this.#socket.close();
    this.#end(NO_HANDSHAKE, reason);
  }

  #end(code: number, reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    if (code === TOO_BIG) this.#failLongest();
    this.#events.ended(code, reason);
    this.#release("the connection was lost");
  }

  /** Only a command that had a frame of its own can have been too big; sent again it would end the next connection too. */
  #failLongest(): void {
    for (const [id, { answered, cancel, size, method }] of this.#asked) {
      if (size <= FRAME_CHARACTERS) continue;
      this.#asked.delete(id);
      cancel();
      const error = new TodokuError(ERRORS.messageTooLarge, `a ${method} of ${size} characters fits in no frame`);
      answered(error, undefined as never);
    }
  }

  #release(why: string): void {
    this.#ended = true;
    this.#cancelWatch();
    const asked = [...this.#asked.values()];
    this.#asked.clear();
    for (const { answered, cancel } of asked) {
      cancel();
      answered(unreachable(why), undefined as never);
    }
  }
}
