/**
 * The other gateways that share a bus with this one: who is there, questions to all of them, and news for all of them.
 *
 * Nothing here is a truth: a gateway that does not answer in time is left out of an answer, as if it and its clients were gone.
 */
import type { Bus, Frame } from "../../backbones/contract.ts";
import type { Clock } from "../../clock.ts";

/** Channels that begin with $ cannot be named by clients. */
const ALL = "$fleet";
const HELLO_MS = 2000;
/** Silent for so long, a gateway is taken for gone. */
const GONE_MS = 7000;
const ANSWER_MS = 1000;

/** What gateways say to each other. */
type Word =
  | { readonly say: "hello"; readonly from: string; readonly anew: boolean }
  | { readonly say: "bye"; readonly from: string }
  | { readonly say: "ask"; readonly from: string; readonly id: number; readonly what: string; readonly about: unknown }
  | { readonly say: "answer"; readonly from: string; readonly id: number; readonly answer: unknown }
  | { readonly say: "news"; readonly from: string; readonly what: string; readonly about: unknown };

/** What this gateway answers to the others, and does at their news. */
export interface FleetMember {
  /** Rejects where the question cannot be answered: the asker goes on without. */
  answer(what: string, about: unknown): Promise<unknown>;
  news(what: string, about: unknown): void;
}

interface Question {
  readonly missing: Set<string>;
  readonly answers: unknown[];
  readonly done: () => void;
}

export class Fleet {
  readonly #uid: string;
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #member: FleetMember;
  readonly #failed: (error: unknown) => void;
  /** The others, each with the time of its last word. */
  readonly #others = new Map<string, number>();
  readonly #questions = new Map<number, Question>();
  #questionCount = 0;
  #stops: (() => Promise<void>)[] = [];
  #cancelHello: (() => void) | undefined;
  #stopped = false;

  /** `failed` hears of words that could not be said; the fleet goes on. */
  constructor(uid: string, bus: Bus, clock: Clock, member: FleetMember, failed: (error: unknown) => void) {
    this.#uid = uid;
    this.#bus = bus;
    this.#clock = clock;
    this.#member = member;
    this.#failed = failed;
  }

  /** Joins. Rejects with the backbone's error. */
  async start(): Promise<void> {
    const listener = (frame: Frame): void => {
      // A listener never throws, and on the bus anybody may speak who may publish on the broker.
      try {
        this.#hear(frame);
      } catch (error) {
        this.#failed(error);
      }
    };
    this.#stops = await Promise.all([
      this.#bus.subscribe(ALL, listener),
      this.#bus.subscribe(channelOf(this.#uid), listener),
    ]);
    this.#hello(true);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelHello?.();
    for (const { done } of this.#questions.values()) done();
    this.#say(ALL, { say: "bye", from: this.#uid });
    await Promise.allSettled(this.#stops.map((stop) => stop()));
  }

  /** Asks all others; resolves with the answers that came in time. */
  async ask(what: string, about: unknown): Promise<readonly unknown[]> {
    this.#forgetGone();
    if (this.#others.size === 0) return [];
    const id = this.#questionCount++;
    const answers: unknown[] = [];
    await new Promise<void>((resolve) => {
      const late = this.#clock.after(ANSWER_MS, () => done());
      const done = (): void => {
        late();
        this.#questions.delete(id);
        resolve();
      };
      this.#questions.set(id, { missing: new Set(this.#others.keys()), answers, done });
      this.#say(ALL, { say: "ask", from: this.#uid, id, what, about });
    });
    return answers;
  }

  /** Tells all others. */
  tell(what: string, about: unknown): void {
    this.#say(ALL, { say: "news", from: this.#uid, what, about });
  }

  #hello(anew: boolean): void {
    this.#say(ALL, { say: "hello", from: this.#uid, anew });
    // A little apart from each other, so that a fleet that was started together does not speak in chorus.
    this.#cancelHello = this.#clock.after(HELLO_MS * (0.8 + 0.4 * this.#clock.random()), () => this.#hello(false));
  }

  #say(channel: string, word: Word): void {
    this.#bus.publish(channel, { kind: "signal", signal: JSON.stringify(word) }).catch(this.#failed);
  }

  #hear(frame: Frame): void {
    if (frame.kind !== "signal" || this.#stopped) return;
    const word = JSON.parse(frame.signal) as Word;
    if (word.from === this.#uid) return;
    if (word.say === "bye") {
      this.#forget(word.from);
      return;
    }
    this.#others.set(word.from, this.#clock.now());
    switch (word.say) {
      case "hello":
        if (word.anew) this.#say(channelOf(word.from), { say: "hello", from: this.#uid, anew: false });
        break;
      case "ask":
        void this.#answer(word.from, word.id, word.what, word.about);
        break;
      case "answer":
        this.#take(word.from, word.id, word.answer);
        break;
      case "news":
        this.#member.news(word.what, word.about);
        break;
    }
  }

  async #answer(asker: string, id: number, what: string, about: unknown): Promise<void> {
    try {
      const answer = await this.#member.answer(what, about);
      this.#say(channelOf(asker), { say: "answer", from: this.#uid, id, answer });
    } catch (error) {
      this.#failed(error);
    }
  }

  #take(from: string, id: number, answer: unknown): void {
    const question = this.#questions.get(id);
    if (!question?.missing.delete(from)) return;
    question.answers.push(answer);
    if (question.missing.size === 0) question.done();
  }

  #forget(other: string): void {
    this.#others.delete(other);
    for (const { missing, done } of this.#questions.values()) if (missing.delete(other) && missing.size === 0) done();
  }

  #forgetGone(): void {
    const now = this.#clock.now();
    for (const [other, heard] of this.#others) if (now - heard > GONE_MS) this.#forget(other);
  }
}

function channelOf(uid: string): string {
  return `${ALL}:${uid}`;
}
