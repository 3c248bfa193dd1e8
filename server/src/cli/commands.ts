/** The commands, in the order of the help. */
import { advise } from "./advise.ts";
import { bench } from "./bench.ts";
import { check } from "./check.ts";
import type { Command } from "./command.ts";
import { config } from "./config.ts";
import { consume } from "./consume.ts";
import { dead } from "./dead.ts";
import { history } from "./history.ts";
import { init } from "./init.ts";
import { publish } from "./publish.ts";
import { queues } from "./queues.ts";
import { restored } from "./restored.ts";
import { serve } from "./serve.ts";
import { subscribe } from "./subscribe.ts";
import { token } from "./token.ts";

export const COMMANDS: readonly Command[] = [
  serve,
  init,
  check,
  config,
  restored,
  advise,
  token,
  publish,
  subscribe,
  history,
  consume,
  queues,
  dead,
  bench,
];
