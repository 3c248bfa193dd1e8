/** A small TCP balancer: each connection goes to the next server that takes it. */
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

export class Balancer implements AsyncDisposable {
  readonly #server: Server;
  readonly #ports: readonly number[];
  readonly #sockets = new Set<Socket>();
  #next = 0;

  private constructor(server: Server, ports: readonly number[]) {
    this.#server = server;
    this.#ports = ports;
    server.on("connection", (client) => void this.#join(client));
  }

  static async start(ports: readonly number[]): Promise<Balancer> {
    const server = createServer({ pauseOnConnect: true });
    const balancer = new Balancer(server, ports);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return balancer;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #join(client: Socket): Promise<void> {
    this.#keep(client);
    for (let tried = 0; tried < this.#ports.length; tried++) {
      const port = this.#ports[this.#next++ % this.#ports.length] ?? 0;
      const server = await this.#reach(port);
      if (!server) continue;
      client.on("close", () => server.destroy());
      server.on("close", () => client.destroy());
      client.pipe(server).pipe(client);
      client.resume();
      return;
    }
    client.destroy();
  }

  #reach(port: number): Promise<Socket | undefined> {
    return new Promise((resolve) => {
      const socket = connect(port, "127.0.0.1");
      this.#keep(socket);
      socket.once("connect", () => resolve(socket));
      socket.once("close", () => resolve(undefined));
    });
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
  }
}
