import type { z } from "zod";
import { ApiClient } from "./api-client.ts";
import { countOf, queueOf } from "./arguments.ts";
import {
  API_KEY,
  EXIT,
  HELP,
  JSON_LINES,
  UsageError,
  URL_OPTION,
  type Arguments,
  type Command,
  type Terminal,
} from "./command.ts";
import { counted, deadLetters } from "./queue-calls.ts";
import { serverAddress } from "./server-address.ts";

type Letter = z.output<typeof deadLetters>["dead_letters"][number];

const ACTIONS = ["list", "show", "replay", "purge"] as const;
type Action = (typeof ACTIONS)[number];

export const dead: Command = {
  name: "dead",
  summary: "List, show, replay or purge the dead letters of a queue.",
  usage: "list|show|replay|purge QUEUE [ID…] [--all]",
  details:
    "A job that failed max_attempts times is a dead letter. `replay` hands it to its group again, as if for the first time; " +
    "`purge` forgets it: those with the given ids, or --all.",
  options: {
    all: { type: "boolean", help: "Replay or purge all there are." },
    limit: { type: "string", short: "n", value: "N", help: "Most dead letters in a list. Default: 100." },
    after: { type: "string", value: "ID", help: "List only those after this one." },
    json: JSON_LINES,
    url: URL_OPTION,
    "api-key": API_KEY,
    help: HELP,
  },
  examples: [
    "todoku dead list jobs:resize",
    "todoku dead show jobs:resize 17",
    "todoku dead replay jobs:resize 17 18",
    "todoku dead purge jobs:resize --all",
  ],
  run: async (args, terminal) => {
    const [word, queueWord, ...ids] = args.words;
    const action = actionOf(word);
    const queue = queueOf(queueWord);
    const api = new ApiClient(serverAddress(args, terminal, "api"), terminal.stopped);
    if (action === "list" || action === "show") await show(api, action, queue, ids, args, terminal);
    else await act(api, action, queue, ids, args, terminal);
    return EXIT.ok;
  },
};

async function show(
  api: ApiClient,
  action: "list" | "show",
  queue: string,
  ids: readonly string[],
  args: Arguments,
  terminal: Terminal,
): Promise<void> {
  if (action === "show" && ids.length === 0) throw new UsageError("show takes the ids of dead letters");
  if (action === "list" && ids.length > 0) throw new UsageError("list takes no ids; use show");
  const limit = countOf(args, "limit");
  const after = args.text("after");
  const { dead_letters: letters } = await api.call(
    `dead_${action}`,
    action === "show"
      ? { queue, ids }
      : { queue, ...(limit !== undefined && { limit }), ...(after !== undefined && { after }) },
    deadLetters,
  );
  for (const letter of letters) {
    terminal.out(terminal.human ? lineOf(letter, action === "show") : JSON.stringify({ queue, ...letter }));
  }
  if (terminal.human && letters.length === 0) terminal.error("there are none");
}

async function act(
  api: ApiClient,
  action: "replay" | "purge",
  queue: string,
  ids: readonly string[],
  args: Arguments,
  terminal: Terminal,
): Promise<void> {
  const all = args.flag("all");
  if (all === ids.length > 0) throw new UsageError(`${action} takes the ids of dead letters, or --all`);
  const { count } = await api.call(`dead_${action}`, all ? { queue, all } : { queue, ids }, counted);
  const done = action === "replay" ? "replayed" : "purged";
  terminal.out(terminal.human ? `${count} ${done}` : JSON.stringify({ queue, [done]: count }));
}

function lineOf({ id, group, attempts, time, reason, job }: Letter, whole: boolean): string {
  const line = `${id}  ${new Date(time).toISOString()}  ${group}  ${attempts} attempts  ${JSON.stringify(reason)}`;
  return whole ? `${line}\n${JSON.stringify(job, undefined, 2)}` : line;
}

function actionOf(word: string | undefined): Action {
  const action = ACTIONS.find((one) => one === word);
  if (!action) {
    const not = word === undefined ? "" : `, not ${JSON.stringify(word)}`;
    throw new UsageError(`dead takes list, show, replay or purge${not}`);
  }
  return action;
}
