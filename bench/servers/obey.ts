/** The part of a server under load, written for Node or Bun, that does what `ContenderProcess` is told. */
import { createInterface } from "node:readline";
import { sendEvenly } from "../../server/src/load/even-schedule.ts";
import { stamped } from "../../server/src/load/stamp.ts";
import { sharedMicroseconds } from "./shared-clock.ts";

/** @param publish Publishes on one channel; the data is a text. */
export function obey(publish: (channel: string, data: string) => void): void {
  createInterface(process.stdin).on("line", (line) => {
    const [order, ...words] = line.split(" ");
    if (order === "collect") collect();
    else if (order === "publish") void publishing(words);
  });
  // Whoever gives the orders is gone.
  process.stdin.on("end", () => process.exit());

  async function publishing([rate, ms, prefix, channels, first, bytes]: readonly string[]): Promise<void> {
    console.log("publishing");
    const names = Array.from({ length: Number(channels) }, (_, i) => `${prefix}${i}`);
    const size = Number(bytes);
    const schedule = { rate: Number(rate), ms: Number(ms), first: Number(first), now: sharedMicroseconds };
    const sent = await sendEvenly({ ...schedule, channels: names }, (channel, sequence, due) =>
      publish(channel, stamped({ sequence, due }, size)),
    );
    console.log(`published ${sent}`);
  }
}

function collect(): void {
  // As V8 itself does in a process that has been idle for some seconds: what the young generation grew to in the rush of
  // connections is given back, too.
  for (let i = 0; i < 3; i++) globalThis.gc?.({ type: "major", execution: "sync", flavor: "last-resort" });
  (globalThis as { Bun?: { gc(now: boolean): void } }).Bun?.gc(true);
  console.log("collected");
}
