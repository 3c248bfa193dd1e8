/**
 * Runs test files with Node's own test runner, and sees to it that each file ends with everything that it started. Node gives
 * tests a time, and files none: one whose last test has failed while a server that it started still runs would never end.
 * (`--test-force-exit` would end it, and every other file too that holds on to something, without a word of it.)
 */
import type { ChildProcess } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import path from "node:path";
import { Readable } from "node:stream";
import { run } from "node:test";
import { spec, type TestEvent } from "node:test/reporters";
import { FileProcess, type Patience } from "./file-process.ts";
import { RUNNER } from "./left-behind.ts";

export interface RunFilesOptions {
  readonly concurrency: number;
  readonly patience: Patience;
  /** Processes that outlive the file that started them. */
  readonly kept: () => readonly number[];
  /** Ends the run and everything that it started. */
  readonly signal: AbortSignal;
}

type TestFailure = Extract<TestEvent, { type: "test:fail" }>["data"]["details"]["error"];

const SLOWEST = 15;

/** Prints what the tests come to, last the runner's own summary. Resolves with whether all went well. */
export async function runFiles(files: readonly string[], options: RunFilesOptions): Promise<boolean> {
  const { concurrency, patience, kept, signal } = options;
  const processes = new Map<string, FileProcess>();
  const wanted = new Set(files.map((file) => path.resolve(file)));
  let ok = true;

  const onProcess = (message: unknown): void => {
    const child = (message as { process: ChildProcess }).process;
    // Told when it is made: what it runs is known right after.
    process.nextTick(() => {
      const file = path.resolve(child.spawnargs.at(-1) ?? "");
      if (wanted.has(file)) processes.set(file, new FileProcess(path.relative("", file), child, patience, kept));
    });
  };
  subscribe("child_process", onProcess);
  const abort = (): void => {
    for (const file of processes.values()) file.kill();
  };
  signal.addEventListener("abort", abort, { once: true });

  const events = run({
    files: [...wanted],
    concurrency,
    timeout: patience.testMs,
    signal,
    execArgv: ["--import", path.join(import.meta.dirname, "mark.ts")],
    env: { ...process.env, [RUNNER]: String(process.pid) },
  });
  // The file that is run, and not the one where the test is written, which may be a suite of many. Node's types do not know it.
  const testOf = (test: { readonly file?: string | undefined }): FileProcess | undefined => {
    const { entryFile, file = "" } = test as { readonly entryFile?: string; readonly file?: string };
    return processes.get(entryFile ?? file);
  };
  events.on("test:enqueue", (test) => testOf(test)?.testComes());
  events.on("test:dequeue", (test) => testOf(test)?.testBegins(test.name));
  events.on("test:complete", (test) => testOf(test)?.testEnds(test.name));
  events.on("test:fail", ({ todo, skip }) => {
    if (todo === undefined && skip === undefined) ok = false;
  });
  try {
    const report = Readable.from(withFiles(events, processes)).pipe(new spec());
    for await (const text of report) process.stdout.write(text as string);
  } finally {
    unsubscribe("child_process", onProcess);
    signal.removeEventListener("abort", abort);
  }
  return ok && !signal.aborted && [...processes.values()].every(({ complaint }) => complaint === undefined);
}

/** Adds, before the summary, which files took longest, and as a failure what is wrong with a file besides its tests. */
async function* withFiles(
  events: AsyncIterable<TestEvent>,
  processes: ReadonlyMap<string, FileProcess>,
): AsyncGenerator<TestEvent> {
  let over = false;
  for await (const event of events) {
    // The summary begins with what belongs to no file.
    if (!over && event.type === "test:diagnostic" && event.data.file === undefined) {
      over = true;
      const files = [...processes.values()];
      await Promise.all(files.map(({ ended }) => ended));
      yield* files.flatMap(({ file, complaint }) => (complaint === undefined ? [] : failure(file, complaint)));
      for (const message of slowest(files))
        yield { type: "test:diagnostic", data: { nesting: 0, level: "info", message } };
    }
    yield event;
  }
}

function failure(file: string, complaint: string): readonly TestEvent[] {
  const data = { name: file, nesting: 0, file, line: 1, column: 1, testId: 0, parentId: undefined, tags: [] };
  // Where it was made tells nobody anything.
  const error = Object.assign(new Error(complaint), { stack: complaint }) as TestFailure;
  return [
    { type: "test:start", data },
    { type: "test:fail", data: { ...data, testNumber: 0, details: { duration_ms: 0, error } } },
  ];
}

function slowest(files: readonly FileProcess[]): readonly string[] {
  if (files.length < 2) return [];
  const lines = files
    .toSorted((a, b) => b.seconds - a.seconds)
    .slice(0, SLOWEST)
    .map(({ file, seconds }) => `${seconds.toFixed(1).padStart(7)} s  ${file}`);
  return ["the slowest files", ...lines];
}
