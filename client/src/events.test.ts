import assert from "node:assert/strict";
import { once } from "node:events";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { Events } from "./events.ts";

test("listeners hear what they listen to until they are removed", () => {
  const events = new Events<{ one: number; two: string }>();
  const heard: unknown[] = [];
  const stop = events.on("one", (payload) => heard.push(payload));
  events.on("one", (payload) => heard.push(-payload));
  assert.equal(events.emit("one", 1), true);
  assert.equal(events.emit("two", "x"), false);
  stop();
  stop();
  events.emit("one", 2);
  assert.deepEqual(heard, [1, -1, -2]);
});

test("a listener that throws keeps the others from nothing, and is seen as what it is: uncaught", async () => {
  const program = `
    import { Events } from ${JSON.stringify(new URL("events.ts", import.meta.url).href)};
    const events = new Events();
    events.on("one", () => { throw new Error("the listener's own"); });
    events.on("one", () => console.log("heard"));
    events.emit("one", 1);
    console.log("emitted");
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program]);
  const [out, error] = [child.stdout, child.stderr].map((stream) => stream.setEncoding("utf8").toArray());
  const [code] = (await once(child, "close")) as [number];
  assert.equal((await out)?.join(""), "heard\nemitted\n");
  assert.match((await error)?.join("") ?? "", /the listener's own/);
  assert.equal(code, 1);
});
