/** The example in a real browser, with its workers killed while they work. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { test, type TestContext } from "node:test";
import { Todoku } from "@todoku/client";
import { consume } from "@todoku/client/queue";
import axe from "axe-core";
import sharp from "sharp";
import { Visitors, type Page } from "../../server/src/page/browser-visit.ts";
import { freePort } from "../../tests/server-process.ts";
import { QUEUE, type Channels, type PictureEvent } from "./events.ts";
import { startThumbnails, visitorOf, type Thumbnails } from "./thumbnails.ts";

/** What `setInputFiles` takes. */
interface Picture {
  readonly name: string;
  readonly mimeType: string;
  readonly buffer: Buffer;
}

const BROKEN: Picture = { name: "broken.jpg", mimeType: "image/jpeg", buffer: Buffer.from("this is no picture") };

/** Pictures of three kinds, wide, tall and small, none like another. */
function pictures(count: number): Promise<Picture[]> {
  const made = Array.from({ length: count }, async (_, i): Promise<Picture> => {
    const kind = (["jpeg", "png", "webp"] as const)[i % 3] ?? "png";
    const [width, height] = (
      [
        [1600, 900],
        [600, 1400],
        [64, 48],
      ] as const
    )[i % 3] ?? [1, 1];
    const background = { r: 20 * i, g: 255 - 15 * i, b: (97 * i) % 256 };
    const buffer = await sharp({ create: { width, height, channels: 3, background } })
      .toFormat(kind)
      .toBuffer();
    return { name: `picture-${i}.${kind}`, mimeType: `image/${kind}`, buffer };
  });
  return Promise.all(made);
}

async function start(t: TestContext, paceMs: number): Promise<{ thumbnails: Thumbnails; folder: string }> {
  const folder = await mkdtemp(path.join(tmpdir(), "todoku-thumbnails-test-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const thumbnails = await startThumbnails({ port: 0, folder, paceMs });
  t.after(() => thumbnails.close());
  return { thumbnails, folder };
}

/** Drops files on the page as a hand would. */
async function drop(page: Page, files: readonly Picture[]): Promise<void> {
  const content = files.map(({ name, mimeType, buffer }) => ({ name, mimeType, text: buffer.toString("base64") }));
  const transfer = await page.evaluateHandle((content) => {
    const transfer = new DataTransfer();
    for (const { name, mimeType, text } of content) {
      const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
      transfer.items.add(new File([bytes], name, { type: mimeType }));
    }
    return transfer;
  }, content);
  await page.dispatchEvent("#drop", "dragover", { dataTransfer: transfer });
  await page.dispatchEvent("#drop", "drop", { dataTransfer: transfer });
}

/** Resolves with a process that has just begun with a picture, as the page shows it. */
async function busyWorker(page: Page): Promise<number> {
  const found = await page.waitForFunction(() => {
    const states = [...document.querySelectorAll('li[data-state="working"] .state')];
    return states.map(({ textContent }) => /^reading by (\d+)/.exec(textContent ?? "")?.[1]).find(Boolean);
  });
  return Number(await found.jsonValue());
}

async function sums(page: Page, expected: { readonly results: number; readonly dead: number }): Promise<void> {
  await page.waitForFunction(
    ({ results, dead }) =>
      document.querySelector("#results")?.textContent === String(results) &&
      document.querySelector("#dead")?.textContent === String(dead) &&
      document.querySelector("#under-way")?.textContent === "0",
    expected,
  );
}

async function violations(page: Page): Promise<unknown> {
  await page.addScriptTag({ content: axe.source });
  return page.evaluate(async () => {
    const { axe: runner } = globalThis as unknown as { axe: typeof axe };
    const found = await runner.run(document, { resultTypes: ["violations"] });
    return found.violations.map(({ id, help, nodes }) => ({ id, help, at: nodes.map(({ html }) => html) }));
  });
}

/** All that was ever said on the visitor's channel. */
async function eventsOf(url: string, secret: string, count: number): Promise<PictureEvent[]> {
  const client = new Todoku<Channels>(url, { token: secret });
  const events: PictureEvent[] = [];
  for await (const { data } of client.subscribe(`pictures:${visitorOf(secret)}`, { start: "earliest" })) {
    events.push(data);
    if (events.length === count) break;
  }
  await client.close();
  return events;
}

test(
  "workers are killed while they work, and every picture ends with exactly one result",
  { timeout: 180_000 },
  async (t) => {
    const { thumbnails, folder } = await start(t, 500);
    const made = await pictures(14);
    await using visitors = await Visitors.launch();
    // axe brings its own script into the page, which the page's policy rightly forbids.
    const context = await visitors.visitor({ viewport: { width: 1100, height: 900 }, bypassCSP: true });
    const page = await context.newPage();
    await page.goto(thumbnails.url);
    await page.getByText("connected", { exact: true }).waitFor();
    await page.getByLabel("Drop pictures here, or choose some").setInputFiles([...made.slice(0, 10), BROKEN]);
    await drop(page, made.slice(10));

    const killed = [await busyWorker(page)];
    await page.getByRole("button", { name: `Kill process ${killed[0]}` }).click();
    await page.getByText(`Process ${killed[0]}`, { exact: true }).waitFor({ state: "detached" });
    while (killed.length < 3) {
      const pid = await busyWorker(page);
      process.kill(pid, "SIGKILL");
      killed.push(pid);
      await page.getByText(`Process ${pid}`, { exact: true }).waitFor({ state: "detached" });
    }
    await sums(page, { results: 14, dead: 1 });
    assert.deepEqual(
      thumbnails.workers.filter((pid) => killed.includes(pid)),
      [],
    );

    const secret = await page.evaluate(() => localStorage["thumbnails"] as string);
    const events = await eventsOf(thumbnails.url, secret, 15 + 14);
    const done = events.filter((event) => event.kind === "done");
    const accepted = new Map(
      events.flatMap((event) => (event.kind === "accepted" ? [[event.picture, event.name]] : [])),
    );
    const sorted = (names: Iterable<string | undefined>): string[] => [...names].map(String).toSorted();
    assert.deepEqual(sorted(accepted.values()), sorted([...made, BROKEN].map(({ name }) => name)));
    assert.deepEqual(
      sorted(done.map(({ picture }) => accepted.get(picture))),
      sorted(made.map(({ name }) => name)),
      "one result each",
    );
    assert.ok(
      done.some(({ attempt }) => attempt > 1),
      "a picture of a killed worker was done by another",
    );
    for (const { thumbnail, width, height } of done) {
      const bytes = await (await fetch(thumbnails.url + thumbnail)).arrayBuffer();
      const { format, ...size } = await sharp(bytes).metadata();
      assert.deepEqual([format, size.width, size.height, width, height], ["webp", 320, 320, 320, 320]);
    }
    await page.waitForFunction(() => {
      const shown = [...document.querySelectorAll<HTMLImageElement>("#pictures img")];
      return shown.length === 14 && shown.every(({ complete, naturalWidth }) => complete && naturalWidth === 320);
    });
    const files = await readdir(path.join(folder, "pictures", "thumbnails"));
    assert.equal(files.filter((file) => file.endsWith(".webp")).length, 14);

    const broken = page.getByRole("listitem").filter({ hasText: BROKEN.name });
    await broken.getByText("given up after 5 attempts: Input file contains unsupported image format").waitFor();
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      assert.deepEqual(await violations(page), [], colorScheme);
    }

    // Somebody puts the right file in its place; then the dead letter is worth another try.
    const hash = createHash("sha256").update(BROKEN.buffer).digest("hex");
    await writeFile(thumbnails.pictures.original(hash), made[0]?.buffer ?? "");
    await broken.getByRole("button", { name: `Try again: ${BROKEN.name}` }).click();
    await sums(page, { results: 15, dead: 0 });
    const last = (await eventsOf(thumbnails.url, secret, 15 + 15)).at(-1);
    assert.ok(last?.kind === "done" && accepted.get(last.picture) === BROKEN.name);
    assert.equal(last.attempt, 1, "as if for the first time");

    await page.reload();
    await sums(page, { results: 15, dead: 0 });
    assert.equal(await page.locator('#pictures li[data-state="done"]').count(), 15);
    assert.deepEqual(visitors.complaints, []);
  },
);

test("a visitor sees and does nothing that is another's, or a worker's", async (t) => {
  const { thumbnails } = await start(t, 0);
  const [mine, other] = [crypto.randomUUID(), crypto.randomUUID()];
  const headers = { authorization: `Bearer ${mine}` };
  const put = (picture: string, more: RequestInit = {}): Promise<Response> =>
    fetch(`${thumbnails.url}/pictures/${picture}?name=a`, {
      method: "PUT",
      headers,
      body: BROKEN.buffer.toString(),
      ...more,
    });
  const picture = crypto.randomUUID();
  assert.equal((await put(picture)).status, 200);
  assert.equal((await put(picture)).status, 200, "repeated by who heard no answer");
  assert.equal((await put("no-uuid")).status, 400);
  assert.equal((await put(crypto.randomUUID(), { headers: {} })).status, 400);
  const [pid] = thumbnails.workers;
  assert.equal((await fetch(`${thumbnails.url}/workers/${pid}/kill`, { method: "POST" })).status, 404);
  assert.equal((await fetch(`${thumbnails.url}/workers/1/kill`, { method: "POST", headers })).status, 404);

  const client = new Todoku<Channels>(thumbnails.url, { token: other });
  t.after(() => client.close());
  client.on("error", () => {});
  const subscription = client.subscribe(`pictures:${visitorOf(mine)}`, () => {});
  subscription.on("error", () => {});
  await assert.rejects(subscription.ready, { code: 103 });
  const worker = consume(client, QUEUE, { group: "mine" }, () => {});
  worker.on("error", () => {});
  await assert.rejects(worker.ready, { code: 103 });
  await assert.rejects(client.publish(QUEUE, { picture: "", name: "", hash: "", visitor: "" }), { code: 103 });
  await assert.rejects(client.publish(`pictures:${visitorOf(other)}`, { kind: "accepted", picture, name: "" }), {
    code: 103,
  });
  const stranger = new Todoku<Channels>(thumbnails.url, { token: "nobody" });
  stranger.on("error", () => {});
  await assert.rejects(stranger.connect(), { code: 101 });
  await stranger.close();
});

test("one command starts it all, and ends it all", async (t) => {
  const port = await freePort();
  const script = path.join(import.meta.dirname, "start.ts");
  const flags = ["--conditions=source", "--disable-warning=ExperimentalWarning"];
  const child = spawn(process.execPath, [...flags, script, "--port", String(port)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  const said: string[] = [];
  for await (const line of createInterface(child.stdout)) if (said.push(line) === 2) break;
  const pids = (/processes ([\d, ]+);/.exec(said.join())?.[1] ?? "").split(", ").map(Number);
  assert.equal(pids.length, 3, said.join());
  assert.match(await (await fetch(`http://localhost:${port}`)).text(), /Drop pictures here/);
  child.kill("SIGTERM");
  assert.deepEqual(await once(child, "exit"), [0, null]);
  for (const pid of pids) assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
});
