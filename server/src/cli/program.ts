/** The program for its tests: as its users meet it, in a process of its own, and (quicker) called in this one. */
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { MARK } from "../../../scripts/testing/left-behind.ts";
import { run } from "./run.ts";

const MAIN = path.join(import.meta.dirname, "main.ts");

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly error: string;
}

export interface Started {
  readonly child: ChildProcessWithoutNullStreams;
  /** Resolves when the stream has printed the text; rejects when the program ends without. */
  printed(text: string | RegExp, stream?: "out" | "error"): Promise<string>;
  readonly ended: Promise<Ended>;
}

/** A folder of its own for a test, removed by `[Symbol.dispose]`. */
export class Folder implements Disposable {
  readonly path: string = mkdtempSync(path.join(tmpdir(), "todoku-cli-"));

  write(name: string, text: string | Buffer): string {
    const file = path.join(this.path, name);
    writeFileSync(file, text);
    return file;
  }

  /** Starts the program in this folder. Of the environment it gets `env`, what a process needs to run, and the mark of its test file. `detached`: as the leader of a group. */
  start(
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
    { detached = false }: { readonly detached?: boolean } = {},
  ): Started {
    const mark = process.env[MARK];
    const marked = mark === undefined ? {} : { [MARK]: mark };
    const child = spawn(
      process.execPath,
      ["--conditions=source", "--disable-warning=ExperimentalWarning", MAIN, ...args],
      {
        cwd: this.path,
        env: { PATH: process.env["PATH"] ?? "", ...marked, ...env },
        detached,
      },
    );
    return watch(child);
  }

  /** Runs the program to its end, with `input` on its standard input. */
  run(
    args: readonly string[],
    { input = "", env }: { input?: string | Buffer; env?: Record<string, string> } = {},
  ): Promise<Ended> {
    const started = this.start(args, env);
    started.child.stdin.on("error", () => {});
    started.child.stdin.end(input);
    return started.ended;
  }

  /** As `run`, in this process: for what needs no signals and no real streams. */
  async call(
    args: readonly string[],
    { input = "", env = {} }: { input?: string | Buffer; env?: Record<string, string> } = {},
  ): Promise<Ended> {
    const said = { out: "", error: "" };
    const code = await run(args, {
      human: false,
      color: false,
      env,
      folder: this.path,
      input: Readable.from([Buffer.from(input)]),
      out: (line) => void (said.out += `${line}\n`),
      error: (line) => void (said.error += `${line}\n`),
      taken: () => Promise.resolve(),
      stopped: new AbortController().signal,
      onReload: () => {},
    });
    return { code, ...said };
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

function watch(child: ChildProcessWithoutNullStreams): Started {
  const said = { out: "", error: "" };
  const waiting = new Set<() => void>();
  const heard = (stream: "out" | "error", chunk: Buffer): void => {
    said[stream] += chunk.toString();
    for (const look of waiting) look();
  };
  child.stdout.on("data", (chunk: Buffer) => heard("out", chunk));
  child.stderr.on("data", (chunk: Buffer) => heard("error", chunk));
  const ended = new Promise<Ended>((resolve) => child.on("close", (code) => resolve({ code, ...said })));
  return {
    child,
    ended,
    printed: (text, stream = "out") =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = typeof text === "string" ? said[stream].includes(text) : text.test(said[stream]);
          if (!found) return;
          waiting.delete(look);
          resolve(said[stream]);
        };
        waiting.add(look);
        look();
        void ended.then(({ code, out, error }) =>
          reject(new Error(`ended with ${code} and never printed ${String(text)}:\n${out}${error}`)),
        );
      }),
  };
}
