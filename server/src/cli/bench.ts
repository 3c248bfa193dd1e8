import { runLoad, type Latency, type LoadProgress, type LoadResult } from "../load/load-run.ts";
import { LEAST_BYTES } from "../load/stamp.ts";
import { WEBSOCKET_PATH } from "../server.ts";
import { channelOf, countOf, refuseMore } from "./arguments.ts";
import { connectionTokenOf, reach, TOKEN_OPTIONS } from "./client.ts";
import {
  CommandError,
  EXIT,
  HELP,
  JSON_LINES,
  UsageError,
  URL_OPTION,
  type Arguments,
  type Command,
  type Option,
  type Terminal,
} from "./command.ts";
import { paint, type Paint } from "./paint.ts";
import { serverAddress } from "./server-address.ts";

const STANDARD_CHANNEL = "chat:bench";
/** Above this share of its core the generator may be what is slow. */
const BUSY = 0.8;
const MOST_BYTES = 1024 * 1024;

const DEFAULTS = { connections: 100, channels: 1, rate: 100, size: 128, seconds: 10 } as const;

const counted = (value: string, help: string, standard?: number): Option => ({
  type: "string",
  value,
  help: standard === undefined ? help : `${help} Default: ${standard}.`,
});

export const bench: Command = {
  name: "bench",
  summary: "Put a load on a server, and count and check what arrives.",
  usage: "[CHANNEL] [--connections N] [--channels M] [--rate R] [--size B] [--seconds S]",
  details:
    "Connections subscribe to the channel, one of each channel publishes to it, evenly, and every delivery is counted and compared. " +
    `CHANNEL is ${STANDARD_CHANNEL} unless given; with --channels its name gets a number. Latency counts from the moment when a message was ` +
    "due, in this process, which publishes and receives. The server's limits hold for the load, too (`client.rate`, " +
    "`client.unauthenticated_per_address`): what they refuse is counted with its reason. It ends by itself; Ctrl-C ends it early and prints " +
    "what was measured until then. It ends with 1 where something was lost, repeated, wrong or refused. It puts real messages on a real " +
    "channel: take one that nobody else listens to.",
  options: {
    connections: counted("N", "Connections.", DEFAULTS.connections),
    channels: counted(
      "M",
      "Channels: connections are spread over them, or have several each where there are more channels.",
      DEFAULTS.channels,
    ),
    rate: counted("R", "Messages published a second, over all channels.", DEFAULTS.rate),
    size: counted("B", `Bytes of each message's data, from ${LEAST_BYTES} on.`, DEFAULTS.size),
    seconds: counted(
      "S",
      "How long it measures; before it warms up for a quarter of that, a second at most.",
      DEFAULTS.seconds,
    ),
    "connect-rate": counted("N", "Connections made a second. Default: as quickly as can be."),
    token: TOKEN_OPTIONS["token"] ?? HELP,
    user: TOKEN_OPTIONS["user"] ?? HELP,
    json: { ...JSON_LINES, help: "Print the result as a line of JSON on a terminal, too; everything else gets that." },
    url: URL_OPTION,
    help: HELP,
  },
  examples: [
    "todoku bench",
    "todoku bench ticker:load --connections 1000 --rate 500 --seconds 30",
    "todoku bench chat:load --connections 5000 --channels 5000 --connect-rate 200 --url https://realtime.example.com --json",
  ],
  run: async (args, terminal) => {
    refuseMore(args, 1);
    const channels = channelsOf(args);
    const bytes = countOf(args, "size", LEAST_BYTES) ?? DEFAULTS.size;
    if (bytes > MOST_BYTES) throw new UsageError(`--size takes a number up to ${MOST_BYTES}, not ${bytes}`);
    const connectRate = countOf(args, "connect-rate");
    const numbers = {
      connections: countOf(args, "connections") ?? DEFAULTS.connections,
      rate: countOf(args, "rate") ?? DEFAULTS.rate,
      ms: (countOf(args, "seconds") ?? DEFAULTS.seconds) * 1000,
    };
    const address = serverAddress(args, terminal, "clients");
    await reach(address.url, terminal.stopped);
    const token = await connectionTokenOf(args, terminal, address);
    const { protocol, hostname, port, pathname } = new URL(address.url);
    const tls = protocol === "https:";
    const report = new Report(terminal);
    const result = await runLoad({
      ...numbers,
      channels,
      bytes,
      target: { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port || (tls ? 443 : 80)), tls },
      path: `${pathname === "/" ? "" : pathname}${WEBSOCKET_PATH}`,
      connect: { name: "todoku-bench", ...(token !== undefined && { token }) },
      ...(connectRate !== undefined && { connectRate }),
      signal: terminal.stopped,
      progress: (progress) => report.progress(progress, channels.length),
    });
    if (result.connected === 0 && !result.interrupted) throw noneConnected(address.url, result);
    report.result(result);
    if (result.interrupted) return EXIT.interrupted;
    return isSound(result) ? EXIT.ok : EXIT.failed;
  },
};

function channelsOf(args: Arguments): readonly string[] {
  const [name = STANDARD_CHANNEL] = args.words;
  const count = countOf(args, "channels") ?? DEFAULTS.channels;
  channelOf(name);
  return count === 1 ? [name] : Array.from({ length: count }, (_, i) => channelOf(`${name}-${i}`));
}

function noneConnected(url: string, { refused }: LoadResult): CommandError {
  const [reason = "no reason was given"] = Object.keys(refused);
  return new CommandError(EXIT.failed, `${url} let no connection in: ${reason}${hintOn(reason)}`);
}

function isSound({
  lost,
  repeated,
  wrong,
  refused,
  ended,
  publishesRefused,
  publishesUnanswered,
}: LoadResult): boolean {
  const none = (counts: Readonly<Record<string, number>>): boolean => Object.keys(counts).length === 0;
  return lost + repeated + wrong + publishesUnanswered === 0 && none(refused) && none(ended) && none(publishesRefused);
}

/** Tells people how it goes, and what came out. */
class Report {
  readonly #terminal: Terminal;
  readonly #colours: Paint;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.#colours = paint(terminal.color);
  }

  progress({ connected, connectRate, second, deliveredRate }: LoadProgress, channels: number): void {
    if (!this.#terminal.human) return;
    const line =
      second === undefined
        ? `${many(connected, "connection")} on ${many(channels, "channel")}, ${perSecond(connectRate)}; publishing`
        : `${second} s: ${perSecond(deliveredRate ?? 0)} delivered`;
    this.#terminal.error(this.#colours.dim(line));
  }

  result(result: LoadResult): void {
    const { human, out } = this.#terminal;
    if (human) for (const line of linesOf(result)) out(line);
    else out(JSON.stringify(result));
    for (const line of warningsOf(result)) this.#terminal.error(this.#colours.yellow(line));
  }
}

function linesOf(result: LoadResult): readonly string[] {
  const { connected, connectRate, published, publishRate, delivered, deliveredRate, latency, answer } = result;
  const rows: readonly (readonly [string, string])[] = [
    ["connections", `${whole(connected)}, ${perSecond(connectRate)}`],
    ["published", `${whole(published)}, ${perSecond(publishRate)}`],
    ["delivered", `${whole(delivered)}, ${perSecond(deliveredRate)}`],
    ["lost", whole(result.lost)],
    ["repeated", whole(result.repeated)],
    ["wrong", whole(result.wrong)],
    ["latency", latencyLine(latency)],
    ["answer to publish", latencyLine(answer)],
    ["this generator", `${(100 * result.generatorShare).toFixed(0)} % of a core`],
  ];
  return rows.map(([name, value]) => `${name.padEnd(18)} ${value}`);
}

function warningsOf(result: LoadResult): readonly string[] {
  const { refused, ended, publishesRefused, publishesUnanswered, generatorShare } = result;
  const each = (what: string, counts: Readonly<Record<string, number>>): readonly string[] =>
    Object.entries(counts).map(([reason, count]) => `${many(count, what)}: ${reason}${hintOn(reason)}`);
  return [
    ...each("connection was refused", refused),
    ...each("connection ended early", ended),
    ...each("publish was refused", publishesRefused),
    ...(publishesUnanswered > 0 ? [many(publishesUnanswered, "publish was never answered")] : []),
    ...(generatorShare > BUSY
      ? ["this generator had hardly any time left: the figures may be its own. Run several, on other machines"]
      : []),
  ];
}

function hintOn(reason: string): string {
  if (reason.includes("EMFILE")) return " (this process may open no more; see `ulimit -n`)";
  if (reason.includes("429")) return " (--connect-rate, or the server's client.rate.connects)";
  if (reason.includes("(102)")) return " (name one of the server's: todoku bench CHANNEL)";
  if (/\(10[13]\)|closed with 3500/.test(reason)) return " (does it take another token? --token, $TODOKU_TOKEN)";
  if (reason.includes("(111)")) return " (more --channels publish from more connections; or the server's client.rate)";
  return "";
}

function latencyLine({ p50, p99, max }: Latency): string {
  return max === 0 ? "none" : `p50 ${ms(p50)} · p99 ${ms(p99)} · max ${ms(max)}`;
}

function ms(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ms`;
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en");
}

function perSecond(value: number): string {
  return `${whole(value)}/s`;
}

/** `3 connections were refused`, `1 connection was refused`. */
function many(count: number, what: string): string {
  if (count === 1) return `1 ${what}`;
  const [noun = "", verb, ...rest] = what.split(" ");
  const plural = noun.endsWith("sh") ? `${noun}es` : `${noun}s`;
  return [whole(count), plural, ...(verb === undefined ? [] : [verb === "was" ? "were" : verb, ...rest])].join(" ");
}
