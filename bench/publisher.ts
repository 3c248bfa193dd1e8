/**
 * Publishes evenly from a process of its own, until SIGTERM; then waits for its answers and prints how many messages there
 * were. Called with port, connect request, channel, messages per second, and the number of the first message.
 */
import { RawClient } from "../tests/raw-client.ts";
import { dataOf } from "./load-data.ts";

const TICK_MS = 1;
/** A server that cannot keep up is offered no more than so many unanswered publishes. */
const MOST_UNDER_WAY = 500;

const [port = "", connect = "{}", channel = "", rate = "", first = "0"] = process.argv.slice(2);

const client = await RawClient.connect(Number(port), JSON.parse(connect) as object);
let sent = 0;
let answered = 0;
let stopping = false;

client.onText = (payload) => {
  const text = payload.toString();
  if (text.includes('"error"')) throw new Error(`a publish was refused: ${text.slice(0, 200)}`);
  answered += text.split("\n").length;
  if (stopping && answered === sent) end();
};

console.log("publishing");
const begun = performance.now();
const timer = setInterval(() => {
  // What a late tick has missed is made up for by the next one.
  const due = Math.floor(((performance.now() - begun) * Number(rate)) / 1000);
  const count = Math.min(due - sent, MOST_UNDER_WAY - (sent - answered));
  if (count <= 0) return;
  const commands = Array.from({ length: count }, (_, i) => ({
    id: sent + i + 2,
    publish: { channel, data: dataOf(Number(first) + sent + i) },
  }));
  sent += count;
  client.send(...commands);
}, TICK_MS);

process.once("SIGTERM", () => {
  stopping = true;
  clearInterval(timer);
  if (answered === sent) end();
});

function end(): void {
  console.log(`published ${sent}`);
  client.terminate();
}
