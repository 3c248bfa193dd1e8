#!/usr/bin/env node
/** The program `todoku`. */
import { createLogger } from "../logger.ts";
import { redact } from "../redact.ts";
import { EXIT } from "./command.ts";
import { processTerminal } from "./process-terminal.ts";
import { run } from "./run.ts";

const argv = process.argv.slice(2);
const terminal = processTerminal(argv);

// What nobody foresaw leaves a state that nobody knows. The process ends, and whoever supervises it starts another: nothing that
// was acknowledged is lost by that. Bun would go on after a promise that nobody heard reject, and Node ends here by either.
process.on("uncaughtException", endByError);
process.on("unhandledRejection", endByError);

process.exitCode = await run(argv, terminal);

function endByError(thrown: unknown): never {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  if (terminal.human) terminal.error(redact(error.stack ?? error.message));
  else createLogger({ level: "error" }).error({ error }, "ended by an error that nobody foresaw; please report it");
  process.exit(EXIT.failed);
}
