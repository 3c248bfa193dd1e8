/** `npm run example express-chat`: the chat on port 3000, or on `$PORT`. */
import path from "node:path";
import { startChat } from "./chat.ts";

const chat = await startChat({
  port: Number(process.env["PORT"] ?? 3000),
  folder: process.env["CHAT_DATA"] ?? path.join(import.meta.dirname, "data"),
});
console.log(`the chat is at ${chat.url} (open it in two windows; Ctrl-C ends it, and what was said stays)`);

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void chat.close());
}
