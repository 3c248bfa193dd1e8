/**
 * Socket.IO as its documentation recommends it for production: WebSockets only, no compression, and the first HTTP request of a
 * session forgotten. A channel is a room. Called with its port and the secret of the tokens.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { Server } from "socket.io";
import { obey } from "./obey.ts";

const [port = "", secret = ""] = process.argv.slice(2);
const server = createServer();
const io = new Server(server, {
  transports: ["websocket"],
  allowUpgrades: false,
  perMessageDeflate: false,
  serveClient: false,
  // No row has a heartbeat within its measurement.
  pingInterval: 600_000,
});

io.engine.on("connection", (raw: { request: unknown }) => {
  raw.request = null;
});
io.use((socket, next) => {
  const { token } = socket.handshake.auth as { token?: string };
  next(isSigned(token ?? "") ? undefined : new Error("not allowed"));
});
io.on("connection", (socket) => {
  socket.on("subscribe", (channel: string, done: () => void) => {
    void socket.join(channel);
    done();
  });
});
server.listen(Number(port), "127.0.0.1", () => console.log("listening"));

obey((channel, data) => {
  io.to(channel).emit(channel, data);
});

/** Whether a token is signed with HS256 and the secret. */
function isSigned(token: string): boolean {
  const [head = "", payload = "", signature = ""] = token.split(".");
  const right = createHmac("sha256", secret).update(`${head}.${payload}`).digest();
  const given = Buffer.from(signature, "base64url");
  return given.length === right.length && timingSafeEqual(given, right);
}
