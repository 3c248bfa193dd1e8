import { ApiClient } from "./api-client.ts";
import { channelOf } from "./arguments.ts";
import { API_KEY, EXIT, HELP, JSON_LINES, UsageError, URL_OPTION, type Command, type Terminal } from "./command.ts";
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
    const names = args.words.map(channelOf);
    if (names.length === 0) channelOf(undefined);
    if (args.flag("pause") && args.flag("resume")) throw new UsageError("--pause and --resume are one or the other");
    const api = new ApiClient(serverAddress(args, terminal, "api"), terminal.stopped);
    const group = args.text("forget");
    for (const queue of names) {
      if (args.flag("pause") || args.flag("resume")) {
        await api.call("queue_pause", { queue, paused: args.flag("pause") }, nothing);
      }
      if (group !== undefined) await api.call("queue_forget", { queue, group }, nothing);
      await print(api, queue, terminal);
    }
    return EXIT.ok;
  },
};

async function print(api: ApiClient, queue: string, terminal: Terminal): Promise<void> {
  const info = await api.call("queue_info", { queue }, queueInfo);
  if (!terminal.human) return terminal.out(JSON.stringify({ queue, ...info }));
  terminal.out(`${queue}  ${info.jobs} kept${info.paused ? ", paused" : ""}`);
  for (const { group, ready, leased, delayed, dead, oldest_age_ms: age } of info.groups) {
    const oldest = age === undefined ? "" : `, oldest ${Math.round(age / 1000)} s`;
    terminal.out(`  ${group}: ${ready} ready, ${leased} leased, ${delayed} delayed, ${dead} dead${oldest}`);
  }
}
