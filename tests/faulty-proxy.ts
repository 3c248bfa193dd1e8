/** A TCP proxy in front of a server, which cuts connections, also after an answer was given and before it arrives. */
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

export class FaultyProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #targetPort: number;
  readonly #pairs = new Set<{ readonly client: Socket; readonly server: Socket }>();
  #onSwallowed: (() => void) | undefined;
  #broken = false;

  private constructor(server: Server, targetPort: number) {
    this.#server = server;
    this.#targetPort = targetPort;
    server.on("connection", (client) => this.#join(client));
  }

  static async start(targetPort: number): Promise<FaultyProxy> {
    const server = createServer();
    const proxy = new FaultyProxy(server, targetPort);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get webSocketUrl(): string {
    return `${this.url.replace("http", "ws")}/connection/websocket`;
  }

  /** Resets all connections, on both sides. */
  cut(): void {
    for (const { client, server } of this.#pairs) {
      reset(client);
      reset(server);
    }
    this.#pairs.clear();
    this.#onSwallowed = undefined;
  }

  /** Cuts, and refuses new connections until `mend`. */
  breakOff(): void {
    this.#broken = true;
    this.cut();
  }

  mend(): void {
    this.#broken = false;
  }

  /**
   * Lets nothing of the server through any more, and cuts when it has said something: what it did is done, and its client
   * does not know. Resolves after the cut.
   */
  cutAfterAnswer(): Promise<void> {
    return new Promise((resolve) => {
      this.#onSwallowed = () => {
        this.cut();
        resolve();
      };
    });
  }

  /** Lets everything through again, where `cutAfterAnswer` has heard nothing yet. */
  relent(): void {
    this.#onSwallowed = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }

  #join(client: Socket): void {
    if (this.#broken) {
      reset(client);
      return;
    }
    const server = connect(this.#targetPort, "127.0.0.1");
    const pair = { client, server };
    this.#pairs.add(pair);
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.setNoDelay(true);
      // A cut shows as an error on the other side: nothing to do but to let go.
      from.on("error", () => to.destroy());
      from.on("close", () => {
        this.#pairs.delete(pair);
        to.destroy();
      });
      from.on("end", () => to.end());
    }
    client.on("data", (chunk) => server.write(chunk));
    server.on("data", (chunk) => {
      if (this.#onSwallowed) this.#onSwallowed();
      else client.write(chunk);
    });
  }
}

/** A reset in place of an orderly end. Node keeps a socket's handle open for ever when it is reset in the middle of its end. */
function reset(socket: Socket): void {
  if (socket.connecting || socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
