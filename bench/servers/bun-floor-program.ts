/**
 * The floor on Bun: `Bun.serve` that does nothing but what must be done. It answers `connect` and `subscribe`, and sends what is
 * published by Bun's own topics. No tokens, no limits, no positions. Called with its port.
 */
import { bunRuntime } from "../../server/src/gateway/listener/bun-runtime.ts";
import { obey } from "./obey.ts";

interface Command {
  readonly id: number;
  readonly subscribe?: { readonly channel: string };
}

interface Topics {
  readonly subscribe: (topic: string) => void;
  readonly publish: (topic: string, text: string) => void;
}

const bun = bunRuntime();
if (!bun) throw new Error("this program is for Bun");
const server = bun.serve<object>({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  reusePort: false,
  development: false,
  maxRequestBodySize: 0,
  idleTimeout: 0,
  fetch: (request, here) => (here.upgrade(request, { data: {} }) ? undefined : new Response(null, { status: 400 })),
  error: () => new Response(null, { status: 500 }),
  websocket: {
    maxPayloadLength: 65_536,
    backpressureLimit: 0,
    idleTimeout: 0,
    perMessageDeflate: false,
    open: () => {},
    message: (socket, message) => {
      const replies = String(message)
        .split("\n")
        .map((line) => {
          const { id, subscribe } = JSON.parse(line) as Command;
          if (!subscribe) return `{"id":${id},"connect":{}}`;
          (socket as unknown as Topics).subscribe(subscribe.channel);
          return `{"id":${id},"subscribe":{}}`;
        });
      socket.sendText(replies.join("\n"), false);
    },
    drain: () => {},
    close: () => {},
  },
});
console.log("listening");

obey((name, data) => {
  (server as unknown as Topics).publish(name, `{"push":{"channel":"${name}","pub":{"data":${JSON.stringify(data)}}}}`);
});
