import { signToken } from "../auth/token.ts";
import { loadConfig } from "../config-file.ts";
import { signingWith, type Signing } from "./signing.ts";
import { channelOf, durationOf, parseJson, refuseMore } from "./arguments.ts";
import {
  CommandError,
  CONFIG,
  EXIT,
  HELP,
  UsageError,
  type Arguments,
  type Command,
  type Terminal,
} from "./command.ts";

const DAY_MS = 86_400_000;

export const token: Command = {
  name: "token",
  summary: "Print a connection token, or a subscription token with --channel.",
  usage: "--user NAME [--channel CHANNEL] [--ttl 24h]",
  details:
    "Signed with auth.jwt.hmac of the configuration, with its issuer and audience. Nothing but the token goes to standard output. " +
    "In your application, the back end makes tokens; this command is for trying things out and for scripts.",
  options: {
    user: { type: "string", value: "NAME", help: 'The user (`sub`); "" for an anonymous one.' },
    channel: { type: "string", value: "CHANNEL", help: "Make a subscription token for this channel." },
    channels: {
      type: "string",
      multiple: true,
      value: "A,B",
      help: "Channels that the server subscribes the connection to; may be repeated.",
    },
    ttl: {
      type: "string",
      value: "TIME",
      help: "How long it is valid, such as 10m; `none`: without end. Default: 24h.",
    },
    info: { type: "string", value: "JSON", help: "What others see of the user in presence and publications." },
    config: CONFIG,
    secret: {
      type: "string",
      value: "TEXT",
      help: "The secret, instead of the configuration's. Better set $TODOKU_JWT_SECRET: others see the command line.",
    },
    help: HELP,
  },
  examples: [
    "todoku token --user ada",
    "todoku token --user ada --channel private:42 --ttl 10m",
    "TODOKU_TOKEN=$(todoku token --user ada) todoku subscribe chat:42",
  ],
  run: async (args, terminal) => {
    refuseMore(args, 0);
    const user = args.text("user");
    if (user === undefined) throw new UsageError('--user is missing: the name of the user, or "" for an anonymous one');
    const channel = args.text("channel");
    const channels = args.texts("channels").flatMap((names) => names.split(","));
    if (channel !== undefined && channels.length > 0)
      throw new UsageError(
        "--channel makes a subscription token and --channels goes into a connection token: leave out one",
      );
    const info = args.text("info");
    const ttl = args.text("ttl") === "none" ? undefined : (durationOf(args, "ttl") ?? DAY_MS);
    const { secret, ...claims } = signingOf(args, terminal);
    const signed = await signToken(secret, {
      ...claims,
      user,
      ...(channel !== undefined && { channel: channelOf(channel) }),
      ...(channels.length > 0 && { channels: channels.map(channelOf) }),
      ...(ttl !== undefined && { ttl: Math.max(1, Math.round(ttl / 1000)) }),
      ...(info !== undefined && { info: parseJson(info, "--info") }),
    });
    terminal.out(signed);
    return EXIT.ok;
  },
};

/** What tokens of this configuration are signed with, and say. */
function signingOf(args: Arguments, { folder, env }: Terminal): Signing {
  const secret = args.text("secret");
  const file = args.text("config");
  if (secret !== undefined && file === undefined) return { secret };
  const { jwt } = loadConfig({ folder, env, ...(file !== undefined && { file }) }).auth;
  const signing = signingWith(secret ?? jwt?.hmac ?? env["TODOKU_JWT_SECRET"], jwt);
  if (signing) return signing;
  const why = jwt
    ? "auth.jwt has a public key, and only the holder of the private one can make tokens"
    : "there is no auth.jwt.hmac to sign with";
  throw new CommandError(
    EXIT.failed,
    `${why}. Set $TODOKU_JWT_SECRET, --secret, or auth.jwt.hmac (\`todoku init\` does)`,
  );
}
