/** Finds the command that was called, runs it, and explains what went wrong. */
import { BackboneError } from "../backbones/contract.ts";
import { ConfigError } from "../config-error.ts";
import { redact } from "../redact.ts";
import { nearest } from "../nearest.ts";
import { VERSION } from "../version.ts";
import { parseArguments } from "./arguments.ts";
import { CommandError, EXIT, UNREAD, UsageError, type Command, type Terminal } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { helpOf, overview, usageOf } from "./help.ts";
import { paint } from "./paint.ts";

/** Resolves with the exit code; never rejects. */
export async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  const [name = "help", ...rest] = argv;
  if (["version", "--version", "-v"].includes(name)) {
    terminal.out(VERSION);
    return EXIT.ok;
  }
  const asked = name === "help" ? rest[0] : name;
  if (asked === undefined || asked === "--help" || asked === "-h") {
    terminal.out(overview(COMMANDS));
    return EXIT.ok;
  }
  const command = COMMANDS.find((candidate) => candidate.name === asked);
  if (command) return runCommand(command, name === "help" ? ["--help"] : rest, terminal);
  const near = nearest(
    asked,
    COMMANDS.map((candidate) => candidate.name),
  );
  const what = `unknown ${asked.startsWith("-") ? "option" : "command"} ${JSON.stringify(asked)}`;
  terminal.error(`todoku: ${what}${near === undefined ? "" : `; did you mean ${near}?`}\n\n${overview(COMMANDS)}`);
  return EXIT.usage;
}

async function runCommand(command: Command, argv: readonly string[], terminal: Terminal): Promise<number> {
  try {
    const args = parseArguments(command, argv);
    if (args.flag("help")) {
      terminal.out(helpOf(command));
      return EXIT.ok;
    }
    const code = await command.run(args, terminal);
    return code === EXIT.interrupted ? stoppedWith(terminal) : code;
  } catch (error) {
    return terminal.stopped.aborted ? stoppedWith(terminal) : explain(error, command, terminal);
  }
}

/** A reader of standard output that has seen enough is no error. */
function stoppedWith({ stopped }: Terminal): number {
  return stopped.reason === UNREAD ? EXIT.ok : EXIT.interrupted;
}

function explain(error: unknown, command: Command, terminal: Terminal): number {
  const { red } = paint(terminal.color);
  if (error instanceof UsageError) {
    terminal.error(`${red("todoku")} ${command.name}: ${error.message}`);
    terminal.error(`Usage: ${usageOf(command)}   (--help for more)`);
    return EXIT.usage;
  }
  const lines =
    error instanceof ConfigError ? error.problems : [error instanceof Error ? error.message : String(error)];
  for (const line of lines) terminal.error(`${red("todoku")}: ${redact(line)}`);
  const foreseen = error instanceof ConfigError || error instanceof BackboneError || error instanceof CommandError;
  if (!foreseen && terminal.env["TODOKU_LOG_LEVEL"] === "debug")
    terminal.error(redact(String(error instanceof Error ? error.stack : error)));
  return error instanceof CommandError ? error.exit : EXIT.failed;
}
