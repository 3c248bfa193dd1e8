/** A TCP balancer: each connection goes to the next gateway, or to the one after it while that one does not answer. */
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";

export interface Balancer {
  readonly url: string;
  close(): void;
}

/** Balances over loopback ports; `port` 0 takes a free one. */
export async function startBalancer(targets: readonly number[], port = 0): Promise<Balancer> {
  let turn = 0;
  const sockets = new Set<Socket>();
  const server = createServer((inner) => {
    sockets.add(inner);
    inner.once("close", () => sockets.delete(inner));
    const first = turn++;
    const attempt = (tried: number): void => {
      if (tried === targets.length) {
        inner.destroy();
        return;
      }
      const outer = connect(targets[(first + tried) % targets.length] ?? 0, "127.0.0.1");
      const next = (): void => attempt(tried + 1);
      outer.once("error", next);
      outer.once("connect", () => {
        outer.off("error", next);
        outer.on("error", () => inner.destroy());
        inner.on("error", () => outer.destroy());
        outer.once("close", () => inner.destroy());
        inner.once("close", () => outer.destroy());
        inner.pipe(outer).pipe(inner);
      });
    };
    attempt(0);
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
