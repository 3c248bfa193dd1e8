/** What most people write first: a loop over the clients that calls `send` for each. Called with its port. */
import { WebSocketServer, type WebSocket } from "ws";
import { obey } from "./obey.ts";

interface Command {
  readonly id: number;
  readonly subscribe?: { readonly channel: string };
}

const channels = new Map<string, Set<WebSocket>>();
const server = new WebSocketServer({ port: Number(process.argv[2]), host: "127.0.0.1" }, () =>
  console.log("listening"),
);

server.on("connection", (webSocket) => {
  webSocket.on("message", (data: Buffer) => {
    for (const line of data.toString().split("\n")) {
      const { id, subscribe } = JSON.parse(line) as Command;
      if (subscribe) subscribersOf(subscribe.channel).add(webSocket);
      webSocket.send(JSON.stringify({ id, ...(subscribe ? { subscribe: {} } : { connect: {} }) }));
    }
  });
  webSocket.on("error", () => {});
  webSocket.on("close", () => {
    for (const subscribers of channels.values()) subscribers.delete(webSocket);
  });
});

function subscribersOf(channel: string): Set<WebSocket> {
  const subscribers = channels.get(channel) ?? new Set();
  channels.set(channel, subscribers);
  return subscribers;
}

obey((channel, data) => {
  for (const webSocket of subscribersOf(channel)) webSocket.send(JSON.stringify({ push: { channel, pub: { data } } }));
});
