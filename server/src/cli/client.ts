/** A client of the server that a command is called for: its address, its tokens, and what refusals mean to who typed the command. */
import { CLOSES, ERRORS, Todoku, type TodokuError, type TodokuOptions } from "@todoku/client";
import { signToken } from "../auth/token.ts";
import { WEBSOCKET_PATH } from "../server.ts";
import { unanswered } from "./api-client.ts";
import { CommandError, EXIT, UsageError, type Arguments, type Option, type Terminal } from "./command.ts";
import { serverAddress, type ServerAddress } from "./server-address.ts";

const REACH_MS = 10_000;
const TOKEN_SECONDS = 3600;

export const TOKEN_OPTIONS: Readonly<Record<string, Option>> = {
  token: { type: "string", value: "TOKEN", help: "Connection token. Default: $TODOKU_TOKEN." },
  "channel-token": {
    type: "string",
    multiple: true,
    value: "TOKEN",
    help: "Subscription token of a channel that wants one; may be repeated.",
  },
  user: {
    type: "string",
    value: "NAME",
    help: "Where todoku.yaml in this folder has auth.jwt.hmac and no token is given: the user to sign tokens for. Default: cli.",
  },
};

/** @throws CommandError when the server cannot be reached. */
export async function clientOf(args: Arguments, terminal: Terminal): Promise<Todoku> {
  const address = serverAddress(args, terminal, "clients");
  await reach(address.url, terminal.stopped);
  const tokens = tokensOf(args, terminal, address);
  return new Todoku(`${address.url}${WEBSOCKET_PATH}`, { name: "todoku-cli", ...tokens });
}

/** The token for one queue or channel, as the client's options have them. */
export function channelTokenOf(
  args: Arguments,
  terminal: Terminal,
  channel: string,
): (() => Promise<string>) | undefined {
  const { channelToken } = tokensOf(args, terminal, serverAddress(args, terminal, "clients"));
  const token = channelToken?.(channel);
  return token === undefined ? undefined : async () => (await token) ?? "";
}

/** Refusals that a token may change. */
const TOKEN_WANTED: ReadonlySet<number> = new Set([
  ERRORS.unauthorized.code,
  ERRORS.permissionDenied.code,
  CLOSES.invalidToken.code,
]);

/** What a refusal is to who typed the command. */
export function refusal(error: TodokuError, exit: number, culprit = ""): CommandError {
  const hint = TOKEN_WANTED.has(error.code)
    ? ". Does it take another token? --token, $TODOKU_TOKEN or --channel-token; `todoku token` makes them"
    : "";
  return new CommandError(exit, `${culprit}${error.message}${hint}`, { cause: error });
}

/** Before the first connection: a server that says no, or none. */
export function exitOf({ retry }: TodokuError): number {
  return retry === "retry" ? EXIT.unavailable : EXIT.failed;
}

/** A WebSocket does not say why it could not be opened; an HTTP request does. */
export async function reach(url: string, stopped: AbortSignal): Promise<void> {
  try {
    const response = await fetch(`${url}/health/live`, {
      signal: AbortSignal.any([stopped, AbortSignal.timeout(REACH_MS)]),
    });
    await response.body?.cancel();
  } catch (error) {
    throw unanswered(url, error);
  }
}

type Tokens = Pick<TodokuOptions, "token" | "channelToken">;

function tokensOf(args: Arguments, { env }: Terminal, { signing }: ServerAddress): Tokens {
  const token = args.text("token") ?? env["TODOKU_TOKEN"];
  const byChannel = new Map(args.texts("channel-token").map((given) => [channelIn(given), given]));
  if (token !== undefined || byChannel.size > 0 || !signing) {
    return { ...(token !== undefined && { token }), channelToken: (channel) => byChannel.get(channel) };
  }
  const { secret, ...claims } = signing;
  const request = { ...claims, user: args.text("user") ?? "cli", ttl: TOKEN_SECONDS };
  return {
    token: () => signToken(secret, request),
    channelToken: (channel) => signToken(secret, { ...request, channel }),
  };
}

/** The token with which a connection of the command may connect; undefined without one. */
export async function connectionTokenOf(
  args: Arguments,
  terminal: Terminal,
  address: ServerAddress,
): Promise<string | undefined> {
  const { token } = tokensOf(args, terminal, address);
  return typeof token === "function" ? ((await token()) ?? undefined) : token;
}

/** The channel that a subscription token is for; whether it is genuine is the server's business. */
function channelIn(token: string): string {
  try {
    const payload: unknown = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
    if (typeof payload === "object" && payload !== null && "channel" in payload) return String(payload.channel);
  } catch {
    // Said below.
  }
  throw new UsageError(
    "--channel-token takes a subscription token, as `todoku token --user NAME --channel CHANNEL` prints it",
  );
}
