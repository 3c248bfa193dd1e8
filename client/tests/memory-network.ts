/**
 * WebSockets without a network: what a client dials is answered in this process. The connections can be watched, cut without a
 * handshake, and made to swallow frames, so that a test chooses the very frame at which a connection dies.
 */
import type { WebSocketConstructor, WebSocketLike } from "../src/index.ts";

/** The server's end of one connection. */
export interface Peer {
  message(text: string): void;
  closed(): void;
}

/** Takes a connection in; `line` is the way back to the client. */
export type Accept = (line: Line) => Peer;

type Listener = (event: { data: unknown; code: number; reason: string }) => void;

/** One connection, open or over. */
export class Line {
  /** The frames that the client has sent, also those that got lost. */
  readonly sent: string[] = [];
  /** The frames that have reached the client. */
  readonly received: string[] = [];
  /** The code and reason with which the client closed it. */
  closedBy: { readonly code: number | undefined } | undefined;
  /** Decides which frames arrive; those that do not are lost without a word. */
  passes: (frame: string, to: "server" | "client") => boolean = () => true;
  #peer: Peer | undefined;
  #listeners = new Map<string, Listener[]>();
  #over = false;

  get open(): boolean {
    return this.#peer !== undefined && !this.#over;
  }

  /** The server sends a frame. */
  send(text: string): void {
    queueMicrotask(() => {
      if (this.#over || !this.passes(text, "client")) return;
      this.received.push(text);
      this.#emit("message", { data: text });
    });
  }

  /** The server closes. */
  close(code: number, reason = ""): void {
    queueMicrotask(() => this.#end(code, reason));
  }

  /** The wire breaks: neither side hears of a handshake. */
  cut(): void {
    this.#end(1006, "");
  }

  /** The server takes the connection in. */
  accept(accept: Accept): void {
    this.#peer = accept(this);
    this.#emit("open", {});
  }

  /** Makes the client's end; `dialled` is called when the dial arrives at the server. */
  clientEnd(dialled: () => void): WebSocketLike {
    setImmediate(() => {
      if (!this.#over) dialled();
    });
    return {
      send: (text) => {
        this.sent.push(text);
        queueMicrotask(() => {
          if (!this.#over && this.passes(text, "server")) this.#peer?.message(text);
        });
      },
      close: (code) => {
        this.closedBy ??= { code };
        queueMicrotask(() => this.#end(code ?? 1005, ""));
      },
      addEventListener: (type: string, listener: unknown) => {
        this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener as Listener]);
      },
    };
  }

  #end(code: number, reason: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#peer?.closed();
    this.#emit("close", { code, reason });
  }

  #emit(type: string, event: object): void {
    for (const listener of this.#listeners.get(type) ?? [])
      listener({ data: undefined, code: 0, reason: "", ...event });
  }
}

export class MemoryNetwork {
  /** Every connection that was dialled, the newest last. */
  readonly lines: Line[] = [];
  /** Answers the dials; undefined: nobody is there. */
  accept: Accept | undefined;
  /** Dials are neither accepted nor refused. */
  unanswered = false;
  /** What each new connection lets through. */
  passes: Line["passes"] = () => true;

  constructor(accept?: Accept) {
    this.accept = accept;
  }

  /** For the client's option of that name. */
  get WebSocket(): WebSocketConstructor {
    const dial = (): WebSocketLike => {
      const line = new Line();
      line.passes = (frame, to) => this.passes(frame, to);
      this.lines.push(line);
      return line.clientEnd(() => {
        if (this.unanswered) return;
        if (this.accept) line.accept(this.accept);
        else line.cut();
      });
    };
    // A function that returns an object is a constructor of that object.
    return function (): WebSocketLike {
      return dial();
    } as unknown as WebSocketConstructor;
  }

  /** The newest connection. */
  get line(): Line {
    const line = this.lines.at(-1);
    if (!line) throw new Error("nothing was dialled");
    return line;
  }

  /** How many connections are open. */
  get open(): number {
    return this.lines.filter((line) => line.open).length;
  }

  /** Breaks every connection. */
  cut(): void {
    for (const line of this.lines) line.cut();
  }

  /** The commands that clients have sent, over all connections. */
  get commands(): readonly Record<string, Record<string, unknown>>[] {
    return this.lines.flatMap(({ sent }) => sent.flatMap(commandsOf));
  }
}

/** The commands of one frame. */
export function commandsOf(frame: string): Record<string, Record<string, unknown>>[] {
  return frame.split("\n").map((line) => JSON.parse(line) as Record<string, Record<string, unknown>>);
}
