#!/usr/bin/env node
/** The program `todoku`. */
import { BackboneError } from "../backbones/contract.ts";
import { ConfigError } from "../config-error.ts";
import { nearest } from "../nearest.ts";
import { VERSION } from "../version.ts";
import { EXIT, helpOf, parseArguments, UsageError, type Command, type Terminal } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { paint } from "./paint.ts";

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  const [name = "help", ...rest] = argv;
  if (["help", "--help", "-h"].includes(name)) {
    process.stdout.write(`${overview()}\n`);
    return EXIT.ok;
  }
  if (["version", "--version", "-v"].includes(name)) {
    process.stdout.write(`${VERSION}\n`);
    return EXIT.ok;
  }
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (!command) {
    const near = nearest(
      name,
      COMMANDS.map((candidate) => candidate.name),
    );
    process.stderr.write(
      `todoku: unknown command ${JSON.stringify(name)}${near === undefined ? "" : `; did you mean ${near}?`}\n\n${overview()}\n`,
    );
    return EXIT.usage;
  }
  return run(command, rest);
}

async function run(command: Command, argv: readonly string[]): Promise<number> {
  const terminal = makeTerminal(argv);
  try {
    const args = parseArguments(command, argv);
    if (args.flag("help")) {
      terminal.out(helpOf(command));
      return EXIT.ok;
    }
    return await command.run(args, terminal);
  } catch (error) {
    return explain(error, command, terminal);
  }
}

function explain(error: unknown, command: Command, terminal: Terminal): number {
  const { red } = paint(terminal.color);
  if (error instanceof UsageError) {
    terminal.error(
      `${red("todoku")} ${command.name}: ${error.message}\nUsage: todoku ${command.name} ${command.usage}   (--help for more)`,
    );
    return EXIT.usage;
  }
  const lines =
    error instanceof ConfigError ? error.problems : [error instanceof Error ? error.message : String(error)];
  for (const line of lines) terminal.error(`${red("todoku")}: ${line}`);
  if (!(error instanceof ConfigError || error instanceof BackboneError) && terminal.env["TODOKU_LOG_LEVEL"] === "debug")
    terminal.error(String(error instanceof Error ? error.stack : error));
  return EXIT.failed;
}

function overview(): string {
  const rows = COMMANDS.map(({ name, summary }) => `  ${name.padEnd(12)} ${summary}`);
  return [
    `todoku ${VERSION}: realtime messages over WebSocket, with a guarantee per channel.`,
    "",
    "Usage: todoku COMMAND [OPTIONS]",
    "",
    ...rows,
    "",
    "`todoku COMMAND --help` shows its options and an example.",
    "Exit codes: 0 done · 1 refused or failed · 2 called wrongly · 3 server not reached.",
  ].join("\n");
}

function makeTerminal(argv: readonly string[]): Terminal {
  const tty = process.stdout.isTTY;
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (stop.signal.aborted) process.exit(signal === "SIGINT" ? 130 : 143);
      stop.abort();
    });
  }
  // A reader that has seen enough (`| head`) is no error.
  process.stdout.on("error", (error: NodeJS.ErrnoException) =>
    process.exit(error.code === "EPIPE" ? EXIT.ok : EXIT.failed),
  );
  return {
    human: tty && !argv.includes("--json"),
    color: tty && process.env["NO_COLOR"] === undefined && process.env["TERM"] !== "dumb",
    env: process.env,
    folder: process.cwd(),
    input: process.stdin,
    out: (line) => void process.stdout.write(`${line}\n`),
    error: (line) => void process.stderr.write(`${line}\n`),
    stopped: stop.signal,
  };
}
