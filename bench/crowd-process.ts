/** A crowd in a process of its own, for more connections than one process has descriptors: does what its parent asks for. */
import { Crowd, type CrowdOptions } from "../tests/load/crowd.ts";

/** What a crowd is told at its start. Client `i` subscribes to channel `i` modulo their number. */
export interface CrowdOrders {
  readonly port: number;
  readonly connect: object;
  readonly prefix: string;
  readonly channels: number;
  readonly number: number;
}

/** One call of a method of `Crowd`. */
export interface Call {
  readonly id: number;
  readonly method: "come" | "churn" | "drop" | "return" | "tally" | "leave";
  readonly args: number[];
}

export interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

const { port, connect, prefix, channels, number } = JSON.parse(process.argv[2] ?? "{}") as CrowdOrders;
const options: CrowdOptions = { port, number, connect: () => connect, channels: (i) => [`${prefix}${i % channels}`] };
const crowd = new Crowd(options);

process.on("message", (call: Call) => {
  void answer(call);
});
process.on("disconnect", () => process.exit(0));

async function answer({ id, method, args }: Call): Promise<void> {
  try {
    const run = crowd[method] as (...given: number[]) => unknown;
    process.send?.({ id, result: await run.apply(crowd, args) } satisfies Answer);
  } catch (error) {
    process.send?.({ id, error: error instanceof Error ? error.message : String(error) } satisfies Answer);
  }
}
