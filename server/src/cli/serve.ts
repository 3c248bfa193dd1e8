import type { Config } from "../config.ts";
import { ConfigError } from "../config-error.ts";
import { CONFIG_FILE, parseConfig, readConfig } from "../config-file.ts";
import { DEV_CONFIG } from "../dev-config.ts";
import { createLogger } from "../logger.ts";
import { servePage } from "../page/page.ts";
import { startServer, WEBSOCKET_PATH, type RunningServer } from "../server.ts";
import { VERSION } from "../version.ts";
import { formatDuration } from "../units.ts";
import { refuseMore, type Arguments } from "./arguments.ts";
import { CONFIG, EXIT, HELP, UsageError, type Command, type Terminal } from "./command.ts";
import { paint } from "./paint.ts";

const PROGRESS_MS = 1000;

export const serve: Command = {
  name: "serve",
  summary: "Run the gateway.",
  usage: "[--config FILE] [--port N] | --dev",
  details:
    "Lines about itself go to standard error, as JSON except on a terminal. Ctrl-C or SIGTERM drains: no new client is taken, what is " +
    "under way is finished, and clients are sent elsewhere over the time `drain`; a second Ctrl-C leaves at once.",
  options: {
    config: CONFIG,
    dev: {
      type: "boolean",
      help: "Without a configuration file: a namespace per guarantee, open to this machine, with a page to play.",
    },
    port: { type: "string", short: "p", value: "N", help: "Port, instead of http.port; 0 takes a free one." },
    help: HELP,
  },
  examples: ["todoku serve --dev", "todoku serve --config todoku.yaml"],
  run: async (args, terminal) => {
    refuseMore(args, 0);
    const { config, dev } = configure(args, terminal);
    const logger = createLogger(terminal.human && config.log.level === "info" ? { level: "warn" } : config.log);
    const server = await startServer(config, { logger, ...(dev && { page: servePage(config) }) });
    announce(config, server, terminal);
    await stopped(terminal.stopped);
    await drain(config, server, terminal);
    return EXIT.ok;
  },
};

function configure(args: Arguments, { folder, env }: Terminal): { config: Config; dev: boolean } {
  const file = args.text("config");
  const port = args.text("port");
  if (port !== undefined && !/^\d{1,5}$/.test(port))
    throw new UsageError(`--port takes a number from 0 to 65535, not ${JSON.stringify(port)}`);
  const withPort = port === undefined ? env : { ...env, TODOKU_HTTP_PORT: port };
  if (args.flag("dev")) {
    if (file !== undefined) throw new UsageError("--dev brings its own configuration: leave out --config");
    return { config: parseConfig(DEV_CONFIG, withPort), dev: true };
  }
  const read = readConfig({ folder, env: withPort, ...(file !== undefined && { file }) });
  if (read.file === undefined) {
    throw new ConfigError([
      `there is no ${CONFIG_FILE} in this folder. Write one with \`todoku init\`, name one with --config, or just try it out with \`todoku serve --dev\``,
    ]);
  }
  return { config: read.config, dev: false };
}

/** Says how many clients are still here, as long as there are any. */
async function drain({ drain: ms }: Config, server: RunningServer, { human, error }: Terminal): Promise<void> {
  const { gateway, logger, drainIsHeeded } = server.todoku;
  const say = human ? error : (text: string) => logger.info(text);
  const left = (): string => `${gateway.connections} ${gateway.connections === 1 ? "client" : "clients"}`;
  if (ms > 0 && (gateway.connections > 0 || drainIsHeeded))
    say(`sending ${left()} elsewhere over ${formatDuration(ms)}; press Ctrl-C again to leave at once`);
  const progress = setInterval(() => {
    if (gateway.connections > 0) say(`${left()} left`);
  }, PROGRESS_MS);
  try {
    await server.drain();
  } finally {
    clearInterval(progress);
  }
  say("stopped");
}

function announce(config: Config, { url, internalUrl }: RunningServer, terminal: Terminal): void {
  const { bold, dim, yellow } = paint(terminal.color);
  const lines = [
    `${bold("todoku")} ${VERSION} is serving ${bold(url)}`,
    `${dim("clients   ")} ${url.replace(/^http/, "ws")}${WEBSOCKET_PATH}`,
    `${dim("API       ")} ${internalUrl ?? url}/api/publish`,
    ...Object.entries(config.backbones).map(
      ([name, settings]) =>
        `${dim("backbone  ")} ${name}: ${settings.type}${"path" in settings ? ` in ${settings.path}` : ""}`,
    ),
    ...Object.entries(config.namespaces).map(
      ([name, { delivery, queue }]) =>
        `${dim("namespace ")} ${name === "" ? '""' : `${name}:`} ${queue ? "queue" : delivery}`,
    ),
  ];
  if (config.auth.insecure)
    lines.push(
      yellow("insecure: anyone who reaches this address may connect, and programs on this machine may publish"),
    );
  for (const line of lines) terminal.out(line);
}

function stopped(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
