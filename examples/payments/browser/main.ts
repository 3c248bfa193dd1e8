/** The page: transfers go out, and what the ledger has booked comes in, also from before Kafka can remember. */
import { Todoku, type Message } from "@todoku/client";
import { ProcessList } from "../../process-list.ts";
import { ENTRIES, MACHINES, OWNERS, type Channels, type Entry, type Machines } from "../messages.ts";
import { Accounts } from "./accounts.ts";
import { Book } from "./book.ts";
import { Sending } from "./sending.ts";

const PAGE = 25;
const AT_RANDOM = 20;
const FLOW_MS = 250;
/** Most that is paid at random, in cents. */
const MOST = 250_000;
const PAUSE_MS = 500;
const ROLES: Readonly<Record<string, string>> = {
  "gateway 1": "holds connections, nothing else",
  "gateway 2": "holds connections, nothing else",
  ledger: "books transfers, one transaction each",
  Kafka: "carries transfers and entries",
  PostgreSQL: "accounts, book, archive of years",
};

const find = (id: string): HTMLElement => document.getElementById(id) as HTMLElement;
const [from, to] = [find("from") as HTMLSelectElement, find("to") as HTMLSelectElement];
const olderButton = find("older") as HTMLButtonElement;

const secret = (localStorage["payments"] ??= crypto.randomUUID()) as string;
const client = new Todoku<Channels>(location.origin, { token: secret, backoff: { firstMs: 100, lastMs: 1000 } });
const accounts = new Accounts(find("accounts"), find("sum"));
const book = new Book(find("book"));
const sending = new Sending(client, () => show());
const machines = new ProcessList(find("machines"), ({ name }) => ask("kill", name));

/** Of the channel of entries. */
let epoch = "";

client.on("state", (state) => {
  find("connection").dataset["state"] = state;
  find("connection").textContent = state;
});
client.on("error", ({ retry, message }) => {
  // What passes by itself is told by the state.
  if (retry !== "retry") trouble(message);
});
client.subscribe(MACHINES, ({ data }) => showMachines(data));

function enter(entry: Entry, offset: number): void {
  book.add(entry, offset);
  if (entry.kind !== "refused") accounts.change(entry.balances);
  if (entry.kind !== "opened") sending.arrived(entry.transfer);
  show();
}

function older({ data, offset = 0 }: Message<Entry>): void {
  book.add(data, offset);
  if (data.kind !== "refused") accounts.fill(data.balances);
  if (data.kind !== "opened") sending.arrived(data.transfer);
}

async function readOlder(): Promise<void> {
  const { oldest } = book;
  if (!oldest) return;
  const since = { epoch, offset: oldest.offset };
  const { messages } = await persistently(() => client.history(ENTRIES, { limit: PAGE, reverse: true, since }));
  for (const message of messages) older(message);
  show();
}

function show(): void {
  const numbers = {
    sent: sending.sent,
    booked: book.count("booked"),
    refused: book.count("refused"),
    "under-way": sending.underWay,
    twice: book.twice,
  };
  for (const [id, number] of Object.entries(numbers)) find(id).textContent = String(number);
  olderButton.disabled = !book.hasOlder;
  const { archived } = book;
  find("reach").textContent =
    archived === 0 ? "Kafka has all that is shown." : `${archived} of ${book.size} shown are from PostgreSQL alone.`;
  if (sending.refused !== undefined) trouble(`A transfer was refused: ${sending.refused}`);
}

function showMachines({ machines: all, kafkaFrom }: Machines): void {
  machines.show(
    all.map(({ name, pid, deaths }) => ({
      name,
      title: name.replace(/^./, (letter) => letter.toUpperCase()),
      ...(pid !== undefined && { pid }),
      remark: `${pid ?? "is started"}${deaths > 0 ? `, after ${deaths} that died` : ""}`,
    })),
  );
  machines.tell(({ name }) => ROLES[name] ?? "");
  book.reaches(kafkaFrom);
  show();
}

function trouble(words: string): void {
  find("trouble").hidden = false;
  find("trouble").textContent = words;
}

/** Of who started all of this. It has no answer; what came of it is seen. */
function ask(method: string, data: string): void {
  client.rpc(method, data).catch(() => {});
}

/** A call that can be repeated is, while what answers it is away. */
async function persistently<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

// ── what is sent ─────────────────────────────────────────────────────────────

for (const accountsOf of [from, to]) {
  accountsOf.append(...Object.entries(OWNERS).map(([account, owner]) => new Option(owner, account)));
}
to.selectedIndex = 1;

find("transfer").addEventListener("submit", (event) => {
  event.preventDefault();
  if (from.value === to.value) return trouble("A transfer needs two accounts.");
  sending.send(from.value, to.value, Math.round((find("amount") as HTMLInputElement).valueAsNumber * 100));
});

function sendAtRandom(): void {
  const names = Object.keys(OWNERS);
  const payer = Math.floor(Math.random() * names.length);
  const payee = (payer + 1 + Math.floor(Math.random() * (names.length - 1))) % names.length;
  sending.send(names[payer] ?? "", names[payee] ?? "", 1 + Math.floor(Math.random() * MOST));
}

find("random").addEventListener("click", () => {
  for (let i = 0; i < AT_RANDOM; i++) sendAtRandom();
});

let flowing: ReturnType<typeof setInterval> | undefined;
find("flow").addEventListener("click", ({ currentTarget }) => {
  clearInterval(flowing);
  flowing = flowing === undefined ? setInterval(sendAtRandom, FLOW_MS) : undefined;
  (currentTarget as HTMLElement).ariaPressed = String(flowing !== undefined);
});

olderButton.addEventListener("click", () => {
  olderButton.disabled = true;
  void readOlder();
});
find("forget").addEventListener("click", () => ask("forget", ""));

// ── what is shown from the start ─────────────────────────────────────────────

/** The newest page of the book, and from there on whatever comes. */
async function begin(): Promise<void> {
  const newest = await persistently(() => client.history(ENTRIES, { limit: PAGE, reverse: true }));
  epoch = newest.position.epoch;
  for (const message of newest.messages) older(message);
  const subscription = client.subscribe(ENTRIES, ({ data, offset = 0 }) => enter(data, offset), {
    start: newest.position,
  });
  subscription.on("gap", (gap) => trouble(`Entries ${gap.from} to ${gap.to} are missing (${gap.reason}).`));
  // An account that nobody has used for long is found further back; so is what became of transfers from before a reload.
  while (!accounts.complete || (book.hasOlder && sending.since <= (book.oldest?.entry.time ?? 0))) {
    if (book.size > 0 && book.hasOlder) await readOlder();
    else await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  show();
}
void begin();
