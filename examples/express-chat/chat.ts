/** A small chat: an Express application with todoku inside. The login and the messages' rules are the application's own. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import { createTodoku, ERRORS, TodokuError, type Json } from "todoku";
import { servePage } from "./page.ts";
import { ROOM, type ChatMessage, type Login } from "./messages.ts";

export interface Chat {
  readonly url: string;
  close(): Promise<void>;
}

const NAME = /^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,23}$/u;
const LONGEST_TEXT = 500;

/** Starts the chat. `port` 0 takes a free one; the messages are kept in `folder`. */
export async function startChat({ port, folder }: { port: number; folder: string }): Promise<Chat> {
  /** Who a token belongs to. A real application has its sessions here; these are gone when the process ends. */
  const users = new Map<string, string>();

  const todoku = await createTodoku<{ [ROOM]: ChatMessage }>(
    {
      log: { level: "warn" },
      backbones: { local: { type: "embedded", path: folder } },
      namespaces: {
        room: {
          backbone: "local",
          delivery: "exactly-once",
          retention: { messages: 200, age: "7d" },
          subscribe: "authenticated",
          publish: "subscribers",
          presence: "subscribers",
          join_leave: true,
        },
      },
    },
    {
      onConnect: ({ token = "" }) => {
        const name = users.get(token);
        // The client fetches a new token and comes back: this process may have been started anew.
        if (name === undefined) throw new TodokuError(ERRORS.tokenExpired);
        return { user: name };
      },
      onPublish: (_, __, data) => ({ data: { text: textOf(data) } }),
    },
  );

  const app = express();
  app.use(servePage());
  app.post("/login", express.json(), (request, response) => {
    const { name } = (request.body ?? {}) as Partial<Login>;
    if (typeof name !== "string" || !NAME.test(name)) {
      response.status(400).json({ error: "A name has 1 to 24 letters, digits, spaces, dots, dashes or underscores." });
      return;
    }
    const token = randomUUID();
    users.set(token, name);
    response.json({ token });
  });

  const server = createServer(app);
  todoku.attach(server);
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const { port: actual } = server.address() as AddressInfo;
  return {
    url: `http://localhost:${actual}`,
    close: async () => {
      await todoku.close();
      server.close();
      server.closeAllConnections();
    },
  };
}

function textOf(data: Json): string {
  const text = typeof data === "object" && data !== null && "text" in data ? data["text"] : undefined;
  if (typeof text !== "string" || text.trim() === "") throw new TodokuError(ERRORS.badRequest, "text is empty");
  if (text.length > LONGEST_TEXT) throw new TodokuError(ERRORS.badRequest, `text may have ${LONGEST_TEXT} characters`);
  return text.trim();
}
