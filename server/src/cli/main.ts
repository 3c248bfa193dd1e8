#!/usr/bin/env node
/** The program `todoku`. */
import { processTerminal } from "./process-terminal.ts";
import { run } from "./run.ts";

const argv = process.argv.slice(2);
process.exitCode = await run(argv, processTerminal(argv));
