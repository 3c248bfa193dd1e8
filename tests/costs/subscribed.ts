/** Connections of a gateway in this process that subscribe to a channel: their sockets count what they are sent and do nothing with it. */
import type { Payload, Socket, SocketEvents } from "../../server/src/gateway/socket.ts";
import type { TestGateway } from "../../server/src/test-gateway.ts";

/** What the sockets of one gateway were sent, together. */
export class Sent {
  frames = 0;
  /** Frames whose bytes were not those of the frame before: made anew, not shared. */
  made = 0;
  #last: Uint8Array | undefined;

  add(frame: Uint8Array): void {
    this.frames++;
    if (frame === this.#last) return;
    this.#last = frame;
    this.made++;
  }
}

class CountedSocket implements Socket {
  readonly bufferedBytes = 0;
  events: SocketEvents | undefined;
  /** Given each frame in place of `Sent`, until the subscription is answered. */
  onAnswer: ((frame: Uint8Array) => void) | undefined;
  readonly #sent: Sent;

  constructor(sent: Sent) {
    this.#sent = sent;
  }

  send({ bytes: frame }: Payload): void {
    if (this.onAnswer) this.onAnswer(frame);
    else this.#sent.add(frame);
  }

  close(): void {
    this.terminate();
  }

  terminate(): void {
    const { events } = this;
    this.events = undefined;
    events?.closed();
  }
}

/** A connection, as far as the measurement needs it. */
export interface Connection {
  send(text: string): void;
  end(): void;
}

/** Opens `count` connections that have subscribed to `channel`; resolves when all were answered. */
export async function subscribed(
  { gateway }: TestGateway,
  sent: Sent,
  count: number,
  channel: string,
): Promise<readonly Connection[]> {
  const decoder = new TextDecoder();
  const connect = async (): Promise<Connection> => {
    const socket = new CountedSocket(sent);
    socket.events = gateway.accept(socket, { address: "192.0.2.1", origin: "https://example.com" });
    const answered = new Promise<void>((resolve) => {
      socket.onAnswer = (frame) => {
        if (!decoder.decode(frame).includes('"subscribe"')) return;
        socket.onAnswer = undefined;
        resolve();
      };
    });
    socket.events.message(`{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"${channel}"}}`);
    await answered;
    return {
      send: (text) => socket.events?.message(text),
      end: () => socket.terminate(),
    };
  };
  return Promise.all(Array.from({ length: count }, connect));
}

/** Resolves when what this turn of the event loop has queued was sent. */
export function endOfTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
