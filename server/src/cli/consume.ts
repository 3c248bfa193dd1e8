import { setImmediate as nextTurn } from "node:timers/promises";
import { CLIENT_ERRORS, ERRORS } from "@todoku/protocol";
import { consume as consumeFrom, type Job } from "@todoku/client/queue";
import { countOf, durationOf, queueOf, refuseMore } from "./arguments.ts";
import { channelTokenOf, clientOf, refusal, TOKEN_OPTIONS } from "./client.ts";
import { EXIT, HELP, JSON_LINES, UNREAD, URL_OPTION, type Command, type Terminal } from "./command.ts";
import { paint } from "./paint.ts";
import { JobPrograms } from "./job-programs.ts";
import { lineOf } from "./printed-message.ts";

/** What concerns one job; anything else that stops is about all of them. */
const OF_A_JOB: ReadonlySet<number> = new Set([CLIENT_ERRORS.handlerFailed.code, ERRORS.leaseLost.code]);

export const consume: Command = {
  name: "consume",
  summary: "Take jobs from a queue: print them, or run a program for each.",
  usage: "QUEUE [--group NAME] [--concurrency N] [--exec COMMAND] [--limit N]",
  details:
    "Without --exec a job is printed, and done when standard output has taken it. With --exec the command is run by the shell for each job, with " +
    "the job's data as JSON on its standard input and TODOKU_QUEUE, TODOKU_JOB, TODOKU_ATTEMPT in its environment; exit code 0 means " +
    "done, any other failed, and what it wrote last on standard error is the reason. It is ended by SIGTERM when the lease is lost. " +
    "Ctrl-C takes no further jobs and waits for those in hand; a second one ends their programs.",
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
    limit: { type: "string", short: "n", value: "N", help: "End after so many jobs; one that failed counts as well." },
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
    const queue = queueOf(args.words[0]);
    refuseMore(args, 1);
    const limit = countOf(args, "limit") ?? Infinity;
    const concurrency = Math.min(countOf(args, "concurrency") ?? 1, limit);
    const [group, command, leaseMs] = [args.text("group"), args.text("exec"), durationOf(args, "lease")];
    const token = channelTokenOf(args, terminal, queue);
    const client = await clientOf(args, terminal);
    using programs = command === undefined ? undefined : new JobPrograms(command, terminal);
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
    const taken = new Set<Promise<void>>();
    const worker = consumeFrom(client, queue, options, async (job) => {
      // Beyond the limit, or when it is over: it is given back as if nobody had tried it.
      if (left <= 0 || terminal.stopped.aborted) return aborted(job.signal);
      left--;
      if (left === 0) over.resolve();
      const handled = programs ? programs.run(job) : print(job, terminal);
      taken.add(handled);
      await handled.finally(() => taken.delete(handled));
    });
    worker.on("error", (error) => {
      if (!OF_A_JOB.has(error.code)) return over.reject(refusal(error, EXIT.failed, `${queue}: `));
      const { message, cause } = error;
      terminal.error(cause instanceof Error ? `${message}: ${cause.message}` : message);
    });
    worker.ready.then(
      () => terminal.error(paint(terminal.color).dim(`consuming from ${queue} as ${worker.group}`)),
      (error: Parameters<typeof refusal>[0]) => over.reject(refusal(error, EXIT.failed, `${queue}: `)),
    );
    try {
      await over.promise;
      if (taken.size > 0 && terminal.stopped.aborted) {
        terminal.error(paint(terminal.color).dim(`waiting for ${taken.size} in hand; once more ends them`));
      }
      await Promise.allSettled(taken);
      // In the next turn the consumer knows what they came to.
      await nextTurn();
      await worker.close({ giveBack: true });
    } finally {
      await client.close();
    }
    return EXIT.ok;
  },
};

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

async function print(job: Job, { human, color, out, taken, stopped }: Terminal): Promise<void> {
  const { queue, id, time, data, attempt, tags } = job;
  const message = { channel: queue, id, time, data, tags, redelivered: attempt > 1 };
  out(human ? lineOf(message, paint(color)) : JSON.stringify({ queue, id, time, attempt, data, tags }));
  await taken();
  if (stopped.reason === UNREAD) throw new Error("not read");
}
