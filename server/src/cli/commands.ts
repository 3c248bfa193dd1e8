/** The commands, in the order of the help. */
import { check } from "./check.ts";
import type { Command } from "./command.ts";
import { config } from "./config.ts";
import { init } from "./init.ts";
import { serve } from "./serve.ts";
import { token } from "./token.ts";

export const COMMANDS: readonly Command[] = [serve, init, check, config, token];
