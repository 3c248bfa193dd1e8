/** A client that stops reading, on a real socket, plain and with TLS: what waits is seen, nothing of it is lost or overwritten. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { WebSocket } from "ws";
import { RateLimiter } from "../../auth/rate.ts";
import { systemClock } from "../../clock.ts";
import { CAN_CERTIFY, certify } from "../../test-certificate.ts";
import { Parcel } from "../parcel.ts";
import type { Socket } from "../socket.ts";
import { trustedProxies } from "./address.ts";
import { NodeListener } from "./node.ts";

const STUCK_BYTES = 1024 * 1024;
/** So large that frames are written in one place, unless somebody keeps them. */
const SIZES = [3000, 20_000, 400_000];

for (const scheme of ["ws", "wss"] as const) {
  test(
    `what a client does not read waits, is told when it has left, and arrives as it was sent, over ${scheme}`,
    { skip: scheme === "wss" && !CAN_CERTIFY && "openssl is not installed", timeout: 60_000 },
    async (t) => {
      const opened: Socket[] = [];
      const drained = Promise.withResolvers<void>();
      let told = 0;
      const listener = new NodeListener(
        {
          connections: 0,
          accept: (socket) => {
            opened.push(socket);
            const tell = (): void => {
              told++;
              drained.resolve();
            };
            return { message: () => {}, drained: tell, closed: () => {} };
          },
        },
        {
          path: "/",
          allowedOrigins: [],
          trustedProxies: trustedProxies([]),
          frameBytes: 1024,
          compression: false,
          connections: 0,
          unauthenticatedPerAddress: 10,
          attempts: new RateLimiter(systemClock, undefined),
          clock: systemClock,
        },
      );
      const server = serverFor(scheme);
      listener.attach(server);
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      const { port } = server.address() as AddressInfo;
      const dial = async (): Promise<WebSocket> => {
        const client = new WebSocket(`${scheme}://127.0.0.1:${port}`, { rejectUnauthorized: false });
        t.after(() => client.terminate());
        await once(client, "open");
        return client;
      };
      t.after(async () => {
        server.close();
        await listener.closed(0);
      });
      const [client, quick] = [await dial(), await dial()];
      let others = 0;
      quick.on("message", () => others++);
      const received: string[] = [];
      const all = Promise.withResolvers<void>();
      let count = Number.POSITIVE_INFINITY;
      const look = (): void => void (received.length === count && all.resolve());
      client.on("message", (data: Buffer) => {
        received.push(data.toString());
        look();
      });
      client.pause();
      const [socket, other] = opened;
      assert.ok(socket && other);
      const texts: string[] = [];
      while (socket.bufferedBytes < STUCK_BYTES) {
        const size = SIZES[texts.length % SIZES.length] ?? 0;
        const text = `${texts.length} `.repeat(size).slice(0, size);
        texts.push(text);
        socket.send(new Parcel(text));
        other.send(new Parcel("-".repeat(text.length)));
        // What the system takes it takes in its own time over TLS.
        await new Promise((resolve) => setImmediate(resolve));
        assert.ok(texts.length < 1000, "nothing waits");
      }
      const before = told;
      count = texts.length;
      client.resume();
      look();
      await all.promise;
      assert.ok(received.every((text, i) => text === texts[i]));
      if (told === before) await drained.promise;
      assert.equal(socket.bufferedBytes, 0);
      assert.ok(others > 0);
    },
  );
}

function serverFor(scheme: "ws" | "wss"): Server {
  if (scheme === "ws") return createServer();
  const folder = mkdtempSync(path.join(tmpdir(), "todoku-"));
  const { cert, key } = certify(folder, "localhost");
  const server = createTlsServer({ cert: readFileSync(cert), key: readFileSync(key) });
  rmSync(folder, { recursive: true });
  return server;
}
