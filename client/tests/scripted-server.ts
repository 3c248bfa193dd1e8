/** A server whose every word the test says itself. */
import { commandsOf, MemoryNetwork, type Line } from "./memory-network.ts";

type Command = Record<string, Record<string, unknown>> & { readonly id?: number };

/** What it answers to a command: `null` is nothing; undefined leaves a connect to be accepted, and nothing else. */
export type Answer = (command: Command, line: Line) => object | null | undefined;

/** What a connect is answered with where the test has nothing to say about it. */
export const ACCEPTED = { client: "c1", version: "0.0.0", ping: 25, pong: true, todoku: { version: 1, session: "c1" } };

/** Accepts connects; all else is answered as `answer` says. */
export function scriptedServer(answer: Answer = () => undefined): MemoryNetwork {
  return new MemoryNetwork((line) => ({
    message: (text) => {
      for (const command of commandsOf(text) as Command[]) {
        const answered = answer(command, line);
        const said = answered === undefined && command["connect"] ? { connect: ACCEPTED } : answered;
        if (said) line.send(JSON.stringify({ id: command.id, ...said }));
      }
    },
    closed: () => {},
  }));
}
