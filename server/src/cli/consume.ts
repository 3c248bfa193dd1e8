import { spawn } from "node:child_process";
import { consume as consumeFrom, type Job } from "@todoku/client/queue";
import { channelOf, countOf, durationOf, refuseMore } from "./arguments.ts";
import { channelTokenOf, clientOf, refusal, TOKEN_OPTIONS } from "./client.ts";
import { EXIT, HELP, JSON_LINES, UNREAD, URL_OPTION, type Command, type Terminal } from "./command.ts";
import { paint } from "./paint.ts";
import { lineOf } from "./printed-message.ts";

/** Of what a failed program said last. */
const REASON_CHARACTERS = 200;

export const consume: Command = {
  name: "consume",
  summary: "Take jobs from a queue: print them, or run a program for each.",
  usage: "QUEUE [--group NAME] [--concurrency N] [--exec COMMAND] [--limit N]",
  details:
    "Without --exec a job is printed, and done when standard output has taken it. With --exec the command is run by the shell for each job, with " +
    "the job's data as JSON on its standard input and TODOKU_QUEUE, TODOKU_JOB, TODOKU_ATTEMPT in its environment; exit code 0 means " +
    "done, any other failed, and what it wrote last on standard error is the reason. It is ended by SIGTERM when the lease is lost. " +
    "Ctrl-C takes no further jobs and waits for those in hand.",
  options: {
    group: {
      type: "string",
      short: "g",
      value: "NAME",
      help: "Every job comes to every group once. Default: default.",
    },
    concurrency: { type: "string", value: "N", help: "Most jobs at once. Default: 1." },
    lease: {
      type: "string",
      value: "TIME",
      help: "How long a job is leased, such as 30s. Default: what the queue says.",
    },
    exec: { type: "string", short: "x", value: "COMMAND", help: "Run by the shell for each job." },
    limit: { type: "string", short: "n", value: "N", help: "End after so many jobs." },
    ...TOKEN_OPTIONS,
    json: JSON_LINES,
    url: URL_OPTION,
    help: HELP,
  },
  examples: [
    "todoku consume jobs:resize",
    "todoku consume jobs:resize --group resizers --concurrency 4 --exec ./resize.sh",
    "todoku consume jobs:mail --limit 1 --json",
  ],
  run: async (args, terminal) => {
    const queue = channelOf(args.words[0]);
    refuseMore(args, 1);
    const limit = countOf(args, "limit") ?? Infinity;
    const concurrency = Math.min(countOf(args, "concurrency") ?? 1, limit);
    const [group, command, leaseMs] = [args.text("group"), args.text("exec"), durationOf(args, "lease")];
    const token = channelTokenOf(args, terminal, queue);
    const client = await clientOf(args, terminal);
    const over = Promise.withResolvers<void>();
    terminal.stopped.addEventListener("abort", () => over.resolve());
    if (terminal.stopped.aborted) over.resolve();
    client.on("error", (error) => {
      if (error.retry === "retry") terminal.error(error.message);
      else over.reject(refusal(error, EXIT.failed));
    });
    let left = limit;
    const options = {
      concurrency,
      ...(group !== undefined && { group }),
      ...(leaseMs !== undefined && { leaseMs }),
      ...(token !== undefined && { token }),
    };
    const worker = consumeFrom(client, queue, options, async (job) => {
      if (left <= 0) throw new Error("not taken");
      left--;
      if (left === 0) over.resolve();
      await (command === undefined ? print(job, terminal) : runFor(job, command, terminal));
    });
    worker.on("error", ({ message, cause }) => {
      terminal.error(cause instanceof Error ? `${message}: ${cause.message}` : message);
    });
    worker.ready.then(
      () => terminal.error(paint(terminal.color).dim(`consuming from ${queue} as ${worker.group}`)),
      (error: Parameters<typeof refusal>[0]) => over.reject(refusal(error, EXIT.failed, `${queue}: `)),
    );
    try {
      await over.promise;
      await worker.close();
    } finally {
      await client.close();
    }
    return EXIT.ok;
  },
};

async function print(job: Job, { human, color, out, taken, stopped }: Terminal): Promise<void> {
  const { queue, id, time, data, attempt, tags } = job;
  const message = { channel: queue, id, time, data, tags, redelivered: attempt > 1 };
  out(human ? lineOf(message, paint(color)) : JSON.stringify({ queue, id, time, attempt, data, tags }));
  await taken();
  if (stopped.reason === UNREAD) throw new Error("not read");
}

/** Rejects with what the program wrote last when it failed. */
function runFor({ queue, id, attempt, data, signal }: Job, command: string, terminal: Terminal): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, {
      shell: true,
      signal,
      cwd: terminal.folder,
      env: { ...terminal.env, TODOKU_QUEUE: queue, TODOKU_JOB: id, TODOKU_ATTEMPT: String(attempt) },
      stdio: ["pipe", "pipe", "pipe"],
    });
    let last = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => terminal.out(text.trimEnd()));
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      last = text.trimEnd().slice(-REASON_CHARACTERS);
      terminal.error(text.trimEnd());
    });
    // A program need not read its input.
    child.stdin.on("error", () => {});
    child.stdin.end(JSON.stringify(data));
    child.on("error", reject);
    child.on("close", (code, killed) => {
      if (code === 0) resolve();
      else reject(new Error(`${code === null ? String(killed) : `exit ${code}`}${last === "" ? "" : `: ${last}`}`));
    });
  });
}
