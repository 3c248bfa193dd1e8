/**
 * A subscriber that counts what it is sent and looks at nothing but the heads of frames, so that a thousand of them are no
 * more work than the network itself.
 */
import type { Socket } from "node:net";
import { frameOf, shakeHands } from "../tests/raw-client.ts";

/** Longest head of a frame from a server. */
const LONGEST_HEAD = 10;

export class CountingSocket {
  /** Text frames received. */
  frames = 0;
  /** Bytes of their payloads. */
  bytes = 0;
  readonly #socket: Socket;
  readonly #head = Buffer.alloc(LONGEST_HEAD);
  #headBytes = 0;
  #payloadLeft = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Connects, subscribes, and resolves when both were answered. */
  static async subscribe(port: number, connect: object, channel: string): Promise<CountingSocket> {
    const { socket } = await shakeHands(port);
    const counting = new CountingSocket(socket);
    socket.write(
      frameOf(`${JSON.stringify({ id: 1, connect })}\n${JSON.stringify({ id: 2, subscribe: { channel } })}`),
    );
    await new Promise<void>((resolve, reject) => {
      let text = "";
      const answer = (chunk: Buffer): void => {
        text += chunk.toString("latin1");
        if (text.includes('"error"') || text.includes("\x88")) reject(new Error(`refused: ${text}`));
        if (!text.includes('"subscribe"')) return;
        socket.off("data", answer);
        resolve();
      };
      socket.on("data", answer);
    });
    socket.on("data", (chunk: Buffer) => counting.#count(chunk));
    socket.on("error", () => socket.destroy());
    return counting;
  }

  end(): void {
    this.#socket.destroy();
  }

  #count(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#payloadLeft > 0) {
        const taken = Math.min(this.#payloadLeft, chunk.length - at);
        this.#payloadLeft -= taken;
        at += taken;
        continue;
      }
      this.#head[this.#headBytes++] = chunk[at++] ?? 0;
      const length = this.#lengthInHead();
      if (length === undefined) continue;
      this.#headBytes = 0;
      this.#payloadLeft = length;
      this.frames++;
      this.bytes += length;
    }
  }

  /** The payload's length, once the head is whole. */
  #lengthInHead(): number | undefined {
    if (this.#headBytes < 2) return undefined;
    const short = this.#head.readUInt8(1);
    if (short < 126) return short;
    if (short === 126) return this.#headBytes < 4 ? undefined : this.#head.readUInt16BE(2);
    return this.#headBytes < LONGEST_HEAD ? undefined : Number(this.#head.readBigUInt64BE(2));
  }
}
