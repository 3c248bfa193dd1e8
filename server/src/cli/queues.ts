import { ApiClient } from "./api-client.ts";
import { queueOf } from "./arguments.ts";
import {
  API_KEY,
  CommandError,
  EXIT,
  HELP,
  JSON_LINES,
  UsageError,
  URL_OPTION,
  type Command,
  type Terminal,
} from "./command.ts";
import { nothing, queueInfo } from "./queue-calls.ts";
import { serverAddress } from "./server-address.ts";

export const queues: Command = {
  name: "queues",
  summary: "Show how queues stand, per group; pause them or let them go on.",
  usage: "QUEUE… [--pause | --resume] [--forget GROUP]",
  details:
    "One line per group: jobs that are ready, leased, delayed and dead, and the age of the oldest that is not done.",
  options: {
    pause: { type: "boolean", help: "Hand out no jobs from now on." },
    resume: { type: "boolean", help: "Hand out jobs again." },
    forget: { type: "string", value: "GROUP", help: "Forget a group that nobody consumes for any more." },
    json: JSON_LINES,
    url: URL_OPTION,
    "api-key": API_KEY,
    help: HELP,
  },
  examples: ["todoku queues jobs:resize", "todoku queues jobs:resize jobs:mail --pause"],
  run: async (args, terminal) => {
    const names = args.words.map(queueOf);
    if (names.length === 0) queueOf(undefined);
    if (args.flag("pause") && args.flag("resume")) throw new UsageError("--pause and --resume are one or the other");
    const api = new ApiClient(serverAddress(args, terminal, "api"), terminal.stopped);
    const group = args.text("forget");
    for (const queue of names) {
      if (args.flag("pause") || args.flag("resume")) {
        await api.call("queue_pause", { queue, paused: args.flag("pause") }, nothing);
      }
      if (group !== undefined) await forget(api, queue, group);
      await print(api, queue, terminal);
    }
    return EXIT.ok;
  },
};

/** A group that is not there is a misspelt one, and the other goes on holding everything back. */
async function forget(api: ApiClient, queue: string, group: string): Promise<void> {
  const { groups } = await api.call("queue_info", { queue }, queueInfo);
  if (!groups.some((known) => known.group === group)) {
    const names = groups.map((known) => JSON.stringify(known.group));
    const there = names.length === 0 ? "it has none" : `it has ${names.join(", ")}`;
    throw new CommandError(EXIT.failed, `${queue} has no group ${JSON.stringify(group)}; ${there}`);
  }
  await api.call("queue_forget", { queue, group }, nothing);
}

async function print(api: ApiClient, queue: string, terminal: Terminal): Promise<void> {
  const info = await api.call("queue_info", { queue }, queueInfo);
  if (!terminal.human) return terminal.out(JSON.stringify({ queue, ...info }));
  terminal.out(
    `${queue}  ${info.jobs} kept${info.paused ? ", paused" : ""}${info.groups.length === 0 ? ", no group has consumed yet" : ""}`,
  );
  for (const { group, ready, leased, delayed, dead, oldest_age_ms: age } of info.groups) {
    const oldest = age === undefined ? "" : `, oldest ${Math.round(age / 1000)} s`;
    terminal.out(`  ${group}: ${ready} ready, ${leased} leased, ${delayed} delayed, ${dead} dead${oldest}`);
  }
}
