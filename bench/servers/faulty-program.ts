/** A server that does everything wrong that the generator must notice. Called with its port. */
import { WebSocketServer, type WebSocket } from "ws";
import { obey } from "./obey.ts";

interface Command {
  readonly id: number;
  readonly subscribe?: { readonly channel: string };
}

const subscribers: { readonly channel: string; readonly webSocket: WebSocket }[] = [];
const server = new WebSocketServer({ port: Number(process.argv[2]), host: "127.0.0.1" }, () =>
  console.log("listening"),
);

server.on("connection", (webSocket) => {
  webSocket.on("message", (data: Buffer) => {
    const replies = data.toString().split("\n");
    for (const line of replies) {
      const { id, subscribe } = JSON.parse(line) as Command;
      if (subscribe) subscribers.push({ channel: subscribe.channel, webSocket });
      webSocket.send(JSON.stringify({ id, ...(subscribe ? { subscribe: {} } : { connect: {} }) }));
    }
  });
  webSocket.on("error", () => {});
});

obey((channel, data) => {
  const sequence = Number(data.split(".")[0]);
  for (const [i, subscriber] of subscribers.entries()) {
    if (subscriber.channel !== channel || (i === 0 && sequence % 7 === 3)) continue;
    const spoiled = i === 1 && sequence % 7 === 3 ? data.replace("x", "y") : data;
    const text = JSON.stringify({ push: { channel, pub: { data: spoiled } } });
    subscriber.webSocket.send(text);
    if (i === 2 && sequence % 7 === 3) subscriber.webSocket.send(text);
  }
});
