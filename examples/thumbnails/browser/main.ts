/** The page: pictures go out by HTTP, and what becomes of them comes in by WebSocket, on the visitor's own channels. */
import { Todoku } from "@todoku/client";
import { ProcessList } from "../../process-list.ts";
import { CREW, type Channels, type Crew, type DeadPicture } from "../events.ts";
import { Card } from "./card.ts";
import { samples } from "./samples.ts";
import { Uploads } from "./upload.ts";

const SAMPLES = 12;
/** A job whose worker was killed on the last attempt tells nobody: while something is under way, the dead letters are asked for. */
const ASK_MS = 1000;

const find = (id: string): HTMLElement => document.getElementById(id) as HTMLElement;

const secret = (localStorage["thumbnails"] ??= crypto.randomUUID()) as string;
const visitor = await visitorOf(secret);
const headers = { authorization: `Bearer ${secret}` };
const client = new Todoku<Channels>(location.origin, { token: secret });
const uploads = new Uploads(secret);
const cards = new Map<string, Card>();
const crew = new ProcessList(
  find("workers"),
  ({ pid }) => void fetch(`/workers/${pid}/kill`, { method: "POST", headers }),
);

client.on("state", (state) => {
  find("connection").dataset["state"] = state;
  find("connection").textContent = state;
});
client.on("error", ({ message }) => (find("connection").textContent = message));

client.subscribe(CREW, ({ data }) => changed(() => showCrew(data)), { start: "earliest" });

// Everything that was accepted and done, also before a reload: the log holds it.
client.subscribe(
  `pictures:${visitor}`,
  ({ data }) => {
    const card = cardOf(data.picture);
    changed(() => {
      if (data.kind === "accepted") {
        card.accepted = true;
        card.name = data.name;
      } else card.results.push(data);
    });
  },
  { start: "earliest" },
);
client.subscribe(`progress:${visitor}`, ({ data }) => {
  const card = cardOf(data.picture);
  changed(() => {
    card.dead = undefined;
    card.progress = data;
  });
});

function cardOf(picture: string): Card {
  const known = cards.get(picture);
  if (known) return known;
  const card = new Card((letter) => void replay(card, letter));
  cards.set(picture, card);
  find("pictures").prepend(card.element);
  return card;
}

async function replay(card: Card, { id }: DeadPicture): Promise<void> {
  await fetch(`/dead/${id}/replay`, { method: "POST", headers });
  changed(() => {
    card.dead = undefined;
    card.progress = undefined;
  });
}

// ── what is shown ────────────────────────────────────────────────────────────

function changed(change: () => void): void {
  change();
  const all = [...cards.values()];
  const alive = (pid: number): boolean => crew.alive(pid);
  for (const card of all) card.show(alive);
  crew.tell(({ pid }) => {
    const busy = all.filter(
      ({ underWay, progress }) => underWay && progress?.worker === pid && progress?.step !== "failed",
    );
    return busy.length === 0 ? "idle" : busy.map(({ name }) => name).join(", ");
  });
  const sums = {
    uploaded: all.filter(({ accepted }) => accepted).length,
    results: all.reduce((sum, { results }) => sum + results.length, 0),
    "under-way": all.filter(({ underWay }) => underWay).length,
    dead: all.filter(({ dead }) => dead).length,
  };
  for (const [id, sum] of Object.entries(sums)) find(id).textContent = String(sum);
}

function showCrew({ workers }: Crew): void {
  crew.show(
    workers.map(({ name, pid, deaths }) => ({
      name,
      title: `Process ${pid ?? "…"}`,
      ...(pid !== undefined && { pid }),
      ...(deaths > 0 && { remark: `in place of ${deaths} that died` }),
    })),
  );
}

async function askForDead(): Promise<void> {
  if ([...cards.values()].some(({ underWay }) => underWay)) {
    try {
      const letters = (await (await fetch("/dead", { headers })).json()) as readonly DeadPicture[];
      changed(() => {
        for (const letter of letters) cardOf(letter.picture).dead = letter;
      });
    } catch {
      // The server is away; it is asked again.
    }
  }
  setTimeout(() => void askForDead(), ASK_MS);
}
void askForDead();

// ── what is sent ─────────────────────────────────────────────────────────────

function send(files: Iterable<File>): void {
  for (const file of files) {
    const picture = crypto.randomUUID();
    const card = cardOf(picture);
    changed(() => (card.name = file.name));
    uploads.send(picture, file).catch((error: unknown) => {
      changed(() => (card.unsent = error instanceof Error ? error.message : String(error)));
    });
  }
}

const files = find("files") as HTMLInputElement;
files.addEventListener("change", () => {
  send(files.files ?? []);
  files.value = "";
});
find("samples").addEventListener("click", () => void samples(SAMPLES).then(send));

// The whole page takes what is dropped on it.
for (const name of ["dragover", "dragleave", "drop"] as const) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", name === "dragover");
    if (name === "drop") send(event.dataTransfer?.files ?? []);
  });
}

/** As the server makes it of the secret: other visitors see the name at most, and nobody gets from it to the secret. */
async function visitorOf(secret: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(secret));
  return [...new Uint8Array(hash)]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("")
    .slice(0, 32);
}
