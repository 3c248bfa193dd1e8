/** What was published by whom, and what the publishers were told. */
import type { Findings } from "./findings.ts";
import type { Ledger } from "./ledger.ts";

/** A publisher's own number for what it sends; `channel` and `key` with it. */
export interface Draft {
  readonly publisher: string;
  readonly number: number;
  readonly channel: string;
  readonly key: string;
  readonly data: { readonly by: string; readonly n: number; readonly padding?: string };
}

/** What a publisher was answered. */
export interface Answer {
  readonly epoch?: string;
  readonly offset?: number;
}

interface Told {
  readonly draft: Draft;
  readonly epoch: string;
  readonly offset: number;
}

export class Book {
  readonly #ledger: Ledger;
  readonly #findings: Findings;
  readonly #drafts = new Map<string, Draft>();
  /** By publisher and channel: what was answered last. */
  readonly #latest = new Map<string, Told>();
  answered = 0;
  unanswered = 0;

  constructor(ledger: Ledger, findings: Findings) {
    this.#ledger = ledger;
    this.#findings = findings;
  }

  /** It is about to be sent, for the first time or again. Returns what notes the answer. */
  send(draft: Draft): (answer: Answer | undefined) => void {
    this.#drafts.set(JSON.stringify(draft.data), draft);
    const before = this.#latest.get(lane(draft));
    return (answer) => {
      if (!answer) this.unanswered++;
      else this.#note(draft, answer, before);
    };
  }

  /** Whether somebody published this data (JSON text). */
  knows(text: string): boolean {
    return this.#drafts.has(text);
  }

  /** The log holds what was published and nothing else, and each key once. */
  checkLog(deadLetters: string): void {
    for (const channel of this.#ledger.channels) {
      for (const { epoch, entries } of this.#ledger.chapters(channel)) {
        const keys = new Map<string, number>();
        for (const { key, data, offset } of entries) {
          if (!this.knows(data))
            this.#findings.add("I2", `${channel} ${epoch}/${offset} holds ${data}: nobody sent it`);
          if (key === undefined) continue;
          const first = keys.get(key);
          if (first !== undefined)
            this.#findings.add("I3", `${channel} ${epoch} holds ${key} at ${first} and ${offset}`);
          keys.set(key, offset);
          if (channel !== deadLetters && this.#drafts.get(data)?.channel !== channel)
            this.#findings.add("I2", `${channel} ${epoch}/${offset} holds what was sent to another channel: ${data}`);
        }
      }
    }
  }

  #note(draft: Draft, { epoch, offset }: Answer, before: Told | undefined): void {
    this.answered++;
    if (epoch === undefined || offset === undefined) return;
    const where = `${draft.channel} ${epoch}/${offset}`;
    const text = JSON.stringify(draft.data);
    const entry = this.#ledger.chapter(draft.channel, epoch).at(offset);
    if (!entry) this.#findings.add("I1", `${draft.key} was answered with ${where}, where nothing is`);
    else if (entry.data !== text) this.#findings.add("I5", `${draft.key} was answered with ${where}: ${entry.data}`);
    if (before && before.draft.number < draft.number && before.epoch === epoch && before.offset >= offset) {
      this.#findings.add("I4", `${draft.key} was sent after the answer to ${before.draft.key}, and is before it`);
    }
    const latest = this.#latest.get(lane(draft));
    if (!latest || latest.draft.number < draft.number) this.#latest.set(lane(draft), { draft, epoch, offset });
  }
}

function lane({ publisher, channel }: Draft): string {
  return `${publisher} ${channel}`;
}
