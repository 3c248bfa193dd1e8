/** The page: login, then one subscription that brings the history and goes on with what is said from now on. */
import { Todoku, type ClientInfo, type Message, type Subscription } from "@todoku/client";
import { ROOM, type ChatMessage } from "../messages.ts";

type Channels = { [ROOM]: ChatMessage };

const find = (id: string): HTMLElement => document.getElementById(id) as HTMLElement;
const input = (id: string): HTMLInputElement => find(id) as HTMLInputElement;
const login = find("login");
const room = find("room");
const messages = find("messages");

login.addEventListener("submit", (event) => {
  event.preventDefault();
  const name = input("name").value.trim();
  logIn(name).then(
    () => enter(name),
    (error: unknown) => {
      find("refusal").textContent = error instanceof Error ? error.message : String(error);
    },
  );
});

/** Resolves with the token of this name. Rejects with what is wrong with the name. */
async function logIn(name: string): Promise<string> {
  const response = await fetch("/login", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name }),
  });
  const { token, error } = (await response.json()) as { token?: string; error?: string };
  if (token === undefined) throw new Error(error ?? "The chat did not let you in.");
  return token;
}

function enter(name: string): void {
  login.hidden = true;
  room.hidden = false;
  const client = new Todoku<Channels>(location.origin, { token: () => logIn(name) });
  client.on("state", (state) => {
    find("state").textContent = state === "connected" ? `You are ${name}.` : "The connection is lost; trying again …";
  });
  client.on("error", (error) => {
    find("state").textContent = error.message;
  });

  // From the earliest message that is kept: history and live messages are one stream, in order, each once.
  const subscription = client.subscribe(ROOM, show, { start: "earliest", joinLeave: true });
  subscription.on("gap", () => add("Some messages are no longer kept."));
  followPresence(client, subscription);

  find("say").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = input("text").value.trim();
    if (text === "") return;
    input("text").value = "";
    // Sent again by itself until the server has it, also over a lost connection; stored once.
    client.publish(ROOM, { text }).catch((error: unknown) => {
      add(`Not sent: “${text}” (${error instanceof Error ? error.message : String(error)})`).className = "unsent";
    });
  });
  find("text").focus();
}

function show({ data, info, time }: Message<ChatMessage>): void {
  const item = add(data.text);
  const author = document.createElement("strong");
  author.textContent = `${info?.user ?? "the server"}: `;
  item.prepend(author);
  if (time === undefined) return;
  const at = document.createElement("time");
  at.dateTime = new Date(time).toISOString();
  at.textContent = new Date(time).toLocaleTimeString();
  item.append(" ", at);
}

/** Adds a line of text; what people write is never taken for HTML. */
function add(text: string): HTMLLIElement {
  const atEnd = messages.scrollHeight - messages.scrollTop - messages.clientHeight < 40;
  const item = document.createElement("li");
  item.textContent = text;
  messages.append(item);
  if (atEnd) item.scrollIntoView();
  return item;
}

/** Asked for after each subscribe, then kept up with who joins and leaves. */
function followPresence(client: Todoku<Channels>, subscription: Subscription<ChatMessage>): void {
  const here = new Map<string, string>();
  const tell = (): void => {
    find("here").textContent = `Here: ${[...new Set(here.values())].toSorted().join(", ")}`;
  };
  const ask = async (): Promise<void> => {
    const present = await client.presence(ROOM);
    here.clear();
    for (const info of Object.values(present)) here.set(info.client, info.user);
    tell();
  };
  subscription.on("state", (state) => {
    if (state === "subscribed") ask().catch(() => {});
  });
  subscription.on("join", ({ client, user }: ClientInfo) => {
    here.set(client, user);
    tell();
  });
  subscription.on("leave", ({ client }: ClientInfo) => {
    here.delete(client);
    tell();
  });
}
