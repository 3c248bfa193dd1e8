import { type Gap, type Message, type Subscription, type Todoku } from "@todoku/client";
import { channelOf, countOf } from "./arguments.ts";
import { clientOf, exitOf, refusal, TOKEN_OPTIONS } from "./client.ts";
import {
  CommandError,
  EXIT,
  HELP,
  JSON_LINES,
  UNREAD,
  UsageError,
  URL_OPTION,
  type Arguments,
  type Command,
  type Terminal,
} from "./command.ts";
import { paint } from "./paint.ts";
import { parsePosition } from "./position.ts";
import { jsonLineOf, lineOf } from "./printed-message.ts";

export const subscribe: Command = {
  name: "subscribe",
  summary: "Print the messages of channels as they arrive.",
  usage: "CHANNEL… [--start earliest] [--durable NAME] [--limit N]",
  details:
    "Messages go to standard output; connections lost and found again, and gaps, are told on standard error. A message counts as " +
    "handled when standard output has taken it. Ctrl-C ends it, and stores what was handled.",
  options: {
    start: {
      type: "string",
      value: "WHERE",
      help: "`new` (default), `earliest`, or EPOCH:OFFSET to begin after that position.",
    },
    durable: {
      type: "string",
      value: "NAME",
      help: "A durable subscription of this name: it goes on where it stopped, also days later.",
    },
    limit: { type: "string", short: "n", value: "N", help: "End after so many messages." },
    ...TOKEN_OPTIONS,
    json: JSON_LINES,
    url: URL_OPTION,
    help: HELP,
  },
  examples: [
    "todoku subscribe chat:42",
    "todoku subscribe orders:1 orders:2 --durable audit --json >> orders.ndjson",
    "todoku subscribe chat:42 --start earliest --limit 10",
  ],
  run: async (args, terminal) => {
    const channels = args.words.map(channelOf);
    if (channels.length === 0) channelOf(undefined);
    const options = optionsOf(args, channels);
    const limit = countOf(args, "limit") ?? Infinity;
    const client = await clientOf(args, terminal);
    try {
      await new Printing(client, terminal, limit).untilEnded(channels, options);
    } finally {
      await client.close();
    }
    return EXIT.ok;
  },
};

interface Options {
  readonly start?: "new" | "earliest" | { readonly epoch: string; readonly offset: number };
  readonly durable?: string;
}

/** Prints what arrives until it is stopped, has had enough, or is refused. */
class Printing {
  readonly #client: Todoku;
  readonly #terminal: Terminal;
  readonly #limit: number;
  readonly #colours: ReturnType<typeof paint>;
  #printed = 0;
  #ended = false;
  #lost = false;
  readonly #over = Promise.withResolvers<void>();

  constructor(client: Todoku, terminal: Terminal, limit: number) {
    this.#client = client;
    this.#terminal = terminal;
    this.#limit = limit;
    this.#colours = paint(terminal.color);
  }

  /** @throws CommandError when a channel is refused, or the server does not let us in. */
  async untilEnded(channels: readonly string[], options: Options): Promise<void> {
    const { stopped } = this.#terminal;
    if (stopped.aborted) return;
    stopped.addEventListener("abort", () => this.#end());
    this.#watchConnection();
    for (const channel of channels) {
      this.#watch(this.#client.subscribe(channel, (message) => this.#print(message), options));
    }
    await this.#over.promise;
  }

  #end(): void {
    this.#ended = true;
    this.#over.resolve();
  }

  #fail(error: CommandError): void {
    this.#ended = true;
    this.#over.reject(error);
  }

  #watchConnection(): void {
    let connected = false;
    this.#client.on("state", (state) => {
      if (state === "connected" && this.#lost) this.#tell("connected again");
      if (state === "connecting" && connected && !this.#ended) this.#tell("connection lost; connecting again");
      this.#lost = state === "connecting" && connected;
      connected ||= state === "connected";
    });
    this.#client.on("error", (error) => {
      if (this.#ended) return;
      if (connected && error.retry === "retry") this.#tell(error.message);
      else this.#fail(refusal(error, connected ? EXIT.failed : exitOf(error)));
    });
  }

  #watch(subscription: Subscription): void {
    const { channel } = subscription;
    subscription.on("gap", (gap) => this.#tellGap(gap));
    subscription.on("error", (error) => {
      if (subscription.state === "closed") this.#fail(refusal(error, EXIT.failed, `${channel}: `));
      else this.#tell(`${channel}: ${error.message}`);
    });
    subscription.ready.then(
      () => this.#tell(`subscribed to ${channel}`),
      () => {
        // Told as an error of the subscription.
      },
    );
  }

  async #print(message: Message): Promise<void> {
    const { human, out, taken, stopped } = this.#terminal;
    // What is not printed any more must not count as handled.
    if (this.#ended) throw new Error("not printed");
    this.#printed++;
    const { redelivered, ...rest } = message;
    const line = { ...rest, ...(redelivered && { redelivered }) };
    out(human ? lineOf(line, this.#colours) : jsonLineOf(line));
    if (this.#printed >= this.#limit) this.#ended = true;
    await taken();
    if (stopped.reason === UNREAD) throw new Error("not read");
    if (this.#printed >= this.#limit) setImmediate(() => this.#end());
  }

  #tellGap({ channel, from, to, reason }: Gap): void {
    const what = {
      retention: `messages ${from} to ${to} are not kept any more`,
      epoch: "its history may have been lost or begun anew",
      dropped: `${to} ${to === 1 ? "message was" : "messages were"} dropped, because standard output was not read fast enough`,
      failed: `messages ${from} to ${to} were given up after too many attempts`,
    }[reason];
    this.#terminal.error(this.#colours.yellow(`gap in ${channel}: ${what}`));
  }

  #tell(what: string): void {
    if (!this.#ended) this.#terminal.error(this.#colours.dim(what));
  }
}

function optionsOf(args: Arguments, channels: readonly string[]): Options {
  const durable = args.text("durable");
  const text = args.text("start");
  const options = { ...(durable !== undefined && { durable }) };
  if (text === undefined) return options;
  if (text === "new" || text === "earliest") return { ...options, start: text };
  const { epoch, offset } = parsePosition(text) ?? {};
  if (epoch === undefined || offset === undefined)
    throw new UsageError(`--start takes new, earliest or EPOCH:OFFSET, not ${JSON.stringify(text)}`);
  if (channels.length > 1)
    throw new UsageError("--start with a position is for one channel: positions differ by channel");
  return { ...options, start: { epoch, offset } };
}
