/** Socket.IO, and its protocol as far as a subscriber needs it. */
import path from "node:path";
import type { Dialect } from "../../server/src/load/dialect.ts";
import { ContenderProcess } from "../contender-process.ts";
import { versionOf } from "../package-version.ts";
import type { Server } from "./server.ts";
import { SECRET, tokenOf } from "./token.ts";

export const socketIo: Server = {
  name: "Socket.IO",
  versions: () => ({ "socket.io": versionOf("socket.io") }),
  start: async (port) =>
    ContenderProcess.node(path.join(import.meta.dirname, "socket-io-program.ts"), [String(port), SECRET]),
  dialect: async () => dialectWith(await tokenOf()),
};

/** Frames begin with the kind of Engine.IO's packet (4 is a message) and that of Socket.IO's (0 connect, 2 event, 3 answer). */
function dialectWith(token: string): Dialect {
  return {
    path: "/socket.io/?EIO=4&transport=websocket",
    refusal: "44{",
    greeting: (channels) => [
      { expect: "0{" },
      { say: `40${JSON.stringify({ token })}`, expect: "40{" },
      ...channels.map((channel, i) => ({ say: `42${i}${JSON.stringify(["subscribe", channel])}`, expect: `43${i}[]` })),
    ],
    read: (line) => {
      if (!line.startsWith("42")) return undefined;
      const [channel, data] = JSON.parse(line.slice(2)) as [string, unknown];
      return { channel, data };
    },
    answer: (line) => (line === "2" ? { say: "3" } : undefined),
  };
}
