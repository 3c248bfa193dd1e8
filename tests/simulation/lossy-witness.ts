/** Stands beside a subscriber of a channel without a log: what comes was published, and comes once. */
import type { Gap } from "@todoku/protocol";
import type { Book } from "./book.ts";
import type { Findings, Promised } from "./findings.ts";
import type { Received, Watch } from "./subscriber.ts";

export class LossyWatch implements Watch {
  readonly #name: string;
  readonly #book: Book;
  readonly #findings: Findings;
  readonly #seen = new Set<string>();
  #ready = false;

  constructor(name: string, book: Book, findings: Findings) {
    this.#name = name;
    this.#book = book;
    this.#findings = findings;
  }

  ready(): void {
    this.#ready = true;
  }

  begun({ data, offset }: Received): void {
    const text = JSON.stringify(data);
    if (offset !== undefined) this.#find("I5", `a message with an offset where no log is: ${text}`);
    if (!this.#book.knows(text)) this.#find("I2", `was given ${text}, which nobody published`);
    if (this.#seen.has(text)) this.#find("I9", `was given ${text} twice`);
    this.#seen.add(text);
  }

  finished(): void {}

  failed(): void {}

  gap({ reason, from, to }: Gap): void {
    if (reason !== "dropped") this.#find("I6", `a gap ${from}..${to} of reason ${reason} where no log is`);
  }

  closed(): void {}

  /** What was lost before is lost; in calm weather nothing is. */
  mustBeComplete(published: readonly string[]): void {
    if (!this.#ready) this.#find("I10", "was never subscribed");
    for (const text of published) {
      if (!this.#seen.has(text)) this.#find("I10", `was not given ${text}, published when all was well`);
    }
  }

  #find(rule: Promised, detail: string): void {
    this.#findings.add(rule, `${this.#name}: ${detail}`);
  }
}
