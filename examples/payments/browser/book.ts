/** The book on the page: entries, the newest first, each where it belongs and once. */
import { OWNERS, type Entry } from "../messages.ts";
import { euros } from "./euros.ts";

const time = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

interface Shown {
  readonly entry: Entry;
  readonly offset: number;
  readonly item: HTMLLIElement;
}

export class Book {
  readonly #list: HTMLElement;
  /** By number. */
  readonly #shown = new Map<number, Shown>();
  /** Names of transfers. */
  readonly #transfers = new Set<string>();
  #kafkaFrom = 0;
  /** Entries and transfers that came a second time. There is to be none. */
  twice = 0;

  constructor(list: HTMLElement) {
    this.#list = list;
  }

  get size(): number {
    return this.#shown.size;
  }

  has(transfer: string): boolean {
    return this.#transfers.has(transfer);
  }

  count(kind: Entry["kind"]): number {
    return [...this.#shown.values()].filter(({ entry }) => entry.kind === kind).length;
  }

  /** Whether there are older ones. */
  get hasOlder(): boolean {
    return !this.#shown.has(1);
  }

  get oldest(): Shown | undefined {
    return this.#shown.size === 0 ? undefined : this.#shown.get(Math.min(...this.#shown.keys()));
  }

  add(entry: Entry, offset: number): void {
    if (this.#shown.has(entry.n) || (entry.kind !== "opened" && this.#transfers.has(entry.transfer))) {
      this.twice++;
      return;
    }
    if (entry.kind !== "opened") this.#transfers.add(entry.transfer);
    const item = itemOf(entry);
    const newer = entry.n > Math.max(0, ...this.#shown.keys());
    if (newer) this.#list.prepend(item);
    else this.#list.append(item);
    const shown = { entry, offset, item };
    this.#shown.set(entry.n, shown);
    this.#mark(shown);
  }

  /** The first offset that Kafka still has. */
  reaches(kafkaFrom: number): void {
    this.#kafkaFrom = kafkaFrom;
    for (const shown of this.#shown.values()) this.#mark(shown);
  }

  /** How many of those shown only PostgreSQL has. */
  get archived(): number {
    return [...this.#shown.values()].filter(({ offset }) => offset < this.#kafkaFrom).length;
  }

  #mark({ item, offset }: Shown): void {
    item.dataset["from"] = offset < this.#kafkaFrom ? "postgres" : "kafka";
  }
}

function itemOf(entry: Entry): HTMLLIElement {
  const item = document.createElement("li");
  item.value = entry.n;
  item.dataset["kind"] = entry.kind;
  const cell = (name: string, words: string): HTMLElement => {
    const made = document.createElement("span");
    made.className = name;
    made.textContent = words;
    return made;
  };
  item.append(cell("n", String(entry.n)), cell("time", time.format(entry.time)));
  if (entry.kind === "opened") {
    item.append(cell("what", "accounts opened"));
    return item;
  }
  item.dataset["transfer"] = entry.transfer;
  const owner = (account: string): string => OWNERS[account as keyof typeof OWNERS] ?? account;
  item.append(cell("what", `${owner(entry.from)} → ${owner(entry.to)}`), cell("amount", euros(entry.amount)));
  item.append(cell("result", entry.kind === "booked" ? "booked" : entry.why));
  return item;
}
