import { availableParallelism } from "node:os";
import type { Config } from "../config.ts";
import { ConfigError } from "../config-error.ts";
import { CONFIG_FILE, parseConfig, readConfig } from "../config-file.ts";
import { DEV_CONFIG } from "../dev-config.ts";
import { createLogger, type Logger } from "../logger.ts";
import { returnMemory } from "../memory-return.ts";
import { servePage } from "../page/page.ts";
import { startServer, WEBSOCKET_PATH, type RunningServer } from "../server.ts";
import { VERSION } from "../version.ts";
import { formatDuration } from "../units.ts";
import { Supervisor, type SupervisorOptions } from "../workers/supervisor.ts";
import { refuseMore } from "./arguments.ts";
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
import { paint } from "./paint.ts";

const PROGRESS_MS = 1000;

export const serve: Command = {
  name: "serve",
  summary: "Run the gateway.",
  usage: "[--config FILE] [--port N] [--workers N] | --dev",
  details:
    "Lines about itself go to standard error, as JSON except on a terminal. Ctrl-C or SIGTERM drains: no new client is taken, what is " +
    "under way is finished, and clients are sent elsewhere over the time `drain`; a second Ctrl-C leaves at once. With several workers " +
    "SIGHUP takes up a changed configuration: one worker after the other is replaced.",
  options: {
    config: CONFIG,
    dev: {
      type: "boolean",
      help: "Without a configuration file: a namespace per guarantee, open to this machine, with a page to play.",
    },
    port: { type: "string", short: "p", value: "N", help: "Port, instead of http.port; 0 takes a free one." },
    workers: {
      type: "string",
      short: "w",
      value: "N",
      help: "Processes that serve clients on one port, instead of workers; auto: one per core.",
    },
    help: HELP,
  },
  examples: ["todoku serve --dev", "todoku serve --config todoku.yaml", "todoku serve --workers auto"],
  run: async (args, terminal) => {
    refuseMore(args, 0);
    const { config, dev } = configure(args, terminal);
    const logger = createLogger(config.log);
    const workers = config.workers === "auto" ? availableParallelism() : config.workers;
    if (workers > 1) return serveWithWorkers(args, terminal, { config, workers, page: dev, logger });
    const server = await startServer(config, { logger, ...(dev && { page: servePage(config) }) });
    const stopReturning = returnMemory(server.todoku.gateway);
    announce(config, server, terminal);
    await stopped(terminal.stopped);
    stopReturning();
    await drain(config, server, terminal);
    return EXIT.ok;
  },
};

/** Several processes on one port. */
async function serveWithWorkers(args: Arguments, terminal: Terminal, options: SupervisorOptions): Promise<number> {
  const { config, workers, logger } = options;
  const supervisor = await Supervisor.start(options);
  const { url, internalUrl, stores } = supervisor;
  announce(
    config,
    { url, ...(internalUrl !== undefined && { internalUrl }) },
    terminal,
    `${workers} processes${stores.length > 0 ? `, and one that owns ${stores.join(", ")}` : ""}`,
  );
  terminal.onReload(() => void reload(supervisor, args, terminal, logger));
  const failure = await Promise.race([stopped(terminal.stopped), supervisor.failed]);
  await parting(
    terminal,
    logger,
    config.drain,
    () => supervisor.clientsLeft,
    () => supervisor.drain(),
  );
  if (failure) throw new CommandError(EXIT.failed, failure.message, { cause: failure });
  return EXIT.ok;
}

async function reload(supervisor: Supervisor, args: Arguments, terminal: Terminal, logger: Logger): Promise<void> {
  try {
    await supervisor.reload(configure(args, terminal).config);
    logger.info("the configuration was taken up by all workers");
  } catch (error) {
    logger.error({ error }, "the configuration was not taken up");
  }
}

function configure(args: Arguments, terminal: Terminal): { config: Config; dev: boolean } {
  const { config, dev } = read(args, terminal);
  // A person who sits before it is told what matters by other lines.
  return terminal.human && config.log.level === "info"
    ? { config: { ...config, log: { level: "warn" } }, dev }
    : { config, dev };
}

function read(args: Arguments, { folder, env }: Terminal): { config: Config; dev: boolean } {
  const file = args.text("config");
  const port = args.text("port");
  if (port !== undefined && !/^\d{1,5}$/.test(port))
    throw new UsageError(`--port takes a number from 0 to 65535, not ${JSON.stringify(port)}`);
  const workers = args.text("workers");
  if (workers !== undefined && !/^([1-9]\d{0,2}|auto)$/.test(workers))
    throw new UsageError(`--workers takes auto or a number from 1 to 512, not ${JSON.stringify(workers)}`);
  const withOptions = {
    ...env,
    ...(port !== undefined && { TODOKU_HTTP_PORT: port }),
    ...(workers !== undefined && { TODOKU_WORKERS: workers }),
  };
  if (args.flag("dev")) {
    if (file !== undefined) throw new UsageError("--dev brings its own configuration: leave out --config");
    return { config: parseConfig(DEV_CONFIG, withOptions), dev: true };
  }
  const found = readConfig({ folder, env: withOptions, ...(file !== undefined && { file }) });
  if (found.file === undefined) {
    throw new ConfigError([
      `there is no ${CONFIG_FILE} in this folder. Write one with \`todoku init\`, name one with --config, or just try it out with \`todoku serve --dev\``,
    ]);
  }
  return { config: found.config, dev: false };
}

async function drain({ drain: ms }: Config, server: RunningServer, terminal: Terminal): Promise<void> {
  const { gateway, logger, drainIsHeeded } = server.todoku;
  const clients = (): number => gateway.connections;
  const heeded = gateway.connections > 0 || drainIsHeeded;
  await parting(terminal, logger, heeded ? ms : 0, clients, () => server.drain());
}

/** Says how many clients are still here, as long as there are any. */
async function parting(
  { human, error }: Terminal,
  logger: Logger,
  ms: number,
  clients: () => number,
  drained: () => Promise<void>,
): Promise<void> {
  const say = human ? error : (text: string) => logger.info(text);
  const left = (): string => `${clients()} ${clients() === 1 ? "client" : "clients"}`;
  if (ms > 0) {
    const who = clients() > 0 ? left() : "clients";
    say(`sending ${who} elsewhere over ${formatDuration(ms)}; press Ctrl-C again to leave at once`);
  }
  const progress = setInterval(() => {
    if (clients() > 0) say(`${left()} left`);
  }, PROGRESS_MS);
  try {
    await drained();
  } finally {
    clearInterval(progress);
  }
  say("stopped");
}

function announce(
  config: Config,
  { url, internalUrl }: Pick<RunningServer, "url" | "internalUrl">,
  terminal: Terminal,
  workers?: string,
): void {
  const { bold, dim, yellow } = paint(terminal.color);
  const lines = [
    `${bold("todoku")} ${VERSION} is serving ${bold(url)}`,
    `${dim("clients   ")} ${url.replace(/^http/, "ws")}${WEBSOCKET_PATH}`,
    `${dim("API       ")} ${internalUrl ?? url}/api/publish`,
    ...(workers === undefined ? [] : [`${dim("workers   ")} ${workers}`]),
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
