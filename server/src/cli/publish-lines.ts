/** Publishes the lines of standard input, group by group, and counts what became of them. */
import { checkChannel, type Json } from "@todoku/protocol";
import { z } from "zod";
import { EXIT, type Terminal } from "./command.ts";
import { lineGroups, type InputLine } from "./input-lines.ts";
import { paint } from "./paint.ts";
import type { Outcome, Publish, RepeatedPublishes } from "./repeated-publishes.ts";

export interface LineOptions {
  readonly publishes: RepeatedPublishes;
  /** A line that brings no key has this and its number. */
  readonly keyPrefix: string;
  /** Lines are messages, not only data. */
  readonly messages: boolean;
  /** Where data goes, and messages that name no channel. */
  readonly channel: string | undefined;
  readonly tags: Readonly<Record<string, string>> | undefined;
  /** Data is plain text. */
  readonly text: boolean;
}

/** One request carries so many messages at most. */
const GROUP_LINES = 1000;
const LINE_BYTES = 16 * 1024 * 1024;

const messageSchema = z.strictObject({
  channel: z.string().optional(),
  data: z.custom<Json>((value) => value !== undefined, "is missing"),
  key: z.string().min(1).max(128).optional(),
  tags: z.record(z.string(), z.string().max(256)).optional(),
});

/** Resolves with the exit code. @throws CommandError when the rest could not be sent; what was stored is said before. */
export async function publishLines(options: LineOptions, terminal: Terminal): Promise<number> {
  const { input, stopped } = terminal;
  const lines = new PublishedLines(options, terminal);
  const stop = (): void => void input.destroy();
  stopped.addEventListener("abort", stop);
  try {
    for await (const group of lineGroups(input, { lines: GROUP_LINES, lineBytes: LINE_BYTES })) {
      await lines.publish(group);
      if (stopped.aborted) break;
    }
  } catch (error) {
    if (!stopped.aborted) throw error;
  } finally {
    stopped.removeEventListener("abort", stop);
    input.destroy();
    lines.summarize();
  }
  if (stopped.aborted) return EXIT.interrupted;
  return lines.failed === 0 ? EXIT.ok : EXIT.failed;
}

class PublishedLines {
  readonly #options: LineOptions;
  readonly #terminal: Terminal;
  readonly #begun = performance.now();
  #stored = 0;
  #duplicates = 0;
  #late = 0;
  #failed = 0;

  constructor(options: LineOptions, terminal: Terminal) {
    this.#options = options;
    this.#terminal = terminal;
  }

  get failed(): number {
    return this.#failed;
  }

  async publish(group: readonly InputLine[]): Promise<void> {
    const lines = group
      .filter(({ text }) => text !== "" || this.#options.text)
      .map((line) => ({ line: line.number, read: this.#read(line) }));
    const messages = lines.flatMap(({ read }) => (typeof read === "string" ? [] : [read]));
    const outcomes = messages.length === 0 ? [] : await this.#options.publishes.publish(messages);
    const next = outcomes.values();
    for (const { line, read } of lines) {
      if (typeof read === "string") this.#fail(line, undefined, { message: read });
      else this.#settled(line, read, next.next().value);
    }
    await this.#terminal.taken();
  }

  summarize(): void {
    const seconds = (performance.now() - this.#begun) / 1000;
    const parts = [
      `published ${this.#stored.toLocaleString("en")} ${this.#stored === 1 ? "message" : "messages"} in ${seconds.toFixed(1)} s`,
      ...(this.#duplicates > 0 ? [`${this.#duplicates} of them stored before with the same key`] : []),
      ...(this.#late > 0 ? [`${this.#late} of them later than their turn, after a failure`] : []),
      ...(this.#failed > 0 ? [`${this.#failed} ${this.#failed === 1 ? "line" : "lines"} failed`] : []),
    ];
    this.#terminal.error(parts.join("; "));
  }

  /** The message of a line, or what is wrong with it. */
  #read({ number, text, flaw }: InputLine): Publish | string {
    if (text === undefined) return flaw ?? "cannot be read";
    const { text: plain, messages, channel: standard, tags, keyPrefix } = this.#options;
    const data = plain ? text : parse(text);
    if (data === undefined) return "is not JSON; --text takes lines as text";
    const line = messages ? messageSchema.safeParse(data) : { success: true as const, data: { data } };
    if (!line.success) {
      const [issue] = line.error.issues;
      return `is no message {channel, data, key, tags}: ${[...(issue?.path ?? []), issue?.message ?? ""].join(" ")}`;
    }
    const message: z.output<typeof messageSchema> = line.data;
    const channel = message.channel ?? standard;
    if (channel === undefined) return "names no channel";
    const wrong = checkChannel(channel);
    if (wrong !== undefined) return `has a channel that ${wrong}`;
    const allTags = message.tags ?? tags;
    return {
      channel,
      data: message.data,
      key: message.key ?? `${keyPrefix}-${number}`,
      ...(allTags && { tags: allTags }),
    };
  }

  #settled(line: number, { channel }: Publish, outcome: Outcome | undefined): void {
    if (outcome?.refused) return this.#fail(line, channel, outcome.refused);
    this.#stored++;
    if (outcome?.stored?.duplicate) this.#duplicates++;
    if (outcome?.late) this.#late++;
    if (!this.#terminal.human) this.#terminal.out(JSON.stringify({ line, channel, ...outcome?.stored }));
  }

  #fail(line: number, channel: string | undefined, error: { readonly code?: number; readonly message: string }): void {
    this.#failed++;
    const { human, color, out, error: say } = this.#terminal;
    if (human)
      say(`${paint(color).red(`line ${line}`)}${channel === undefined ? "" : ` (${channel})`} ${error.message}`);
    else out(JSON.stringify({ line, ...(channel !== undefined && { channel }), error }));
  }
}

function parse(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}
