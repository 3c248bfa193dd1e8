/** The terminal, pipes and signals of this process. */
import { INTERRUPTED, UNREAD, type Terminal } from "./command.ts";

/**
 * One Ctrl-C reaches the process from the terminal, and again from each wrapper that passes it on (`npm start` does);
 * only a later one is a second one.
 */
const SAME_PRESS_MS = 500;

export function processTerminal(argv: readonly string[]): Terminal {
  const { stdin, stdout, stderr, env } = process;
  const stop = new AbortController();
  let stoppedAt = 0;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (stop.signal.aborted) {
        if (performance.now() - stoppedAt > SAME_PRESS_MS) process.exit(signal === "SIGINT" ? 130 : 143);
        return;
      }
      stoppedAt = performance.now();
      stop.abort(INTERRUPTED);
    });
  }
  // A reader that has seen enough (`| head`) is no error: the command ends as by Ctrl-C, and nothing more is printed.
  for (const stream of [stdout, stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") process.exit(1);
      if (stream === stdout) stop.abort(UNREAD);
    });
  }
  const write = (stream: NodeJS.WriteStream, line: string): void => {
    if (stream.writable) stream.write(`${line}\n`);
  };
  return {
    human: stdout.isTTY && !argv.includes("--json"),
    color: stdout.isTTY && env["NO_COLOR"] === undefined && env["TERM"] !== "dumb",
    env,
    folder: process.cwd(),
    input: stdin,
    out: (line) => write(stdout, line),
    error: (line) => write(stderr, line),
    taken: () =>
      stdout.writableNeedDrain && stdout.writable
        ? new Promise((resolve) => {
            const settle = (): void => {
              stdout.off("drain", settle);
              stop.signal.removeEventListener("abort", settle);
              resolve();
            };
            stdout.on("drain", settle);
            stop.signal.addEventListener("abort", settle);
          })
        : Promise.resolve(),
    stopped: stop.signal,
    onReload: (reload) => {
      if (!stdout.isTTY) process.on("SIGHUP", reload);
    },
  };
}
