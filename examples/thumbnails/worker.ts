/**
 * One worker: a process of its own that takes pictures from the queue and makes thumbnails. Start as many as there is work for.
 *
 * It is killed at any moment: the job is leased, so another worker gets it, and its result is stored together with its end.
 */
import { setTimeout as after } from "node:timers/promises";
import { Todoku } from "@todoku/client";
import { consume } from "@todoku/client/queue";
import sharp from "sharp";
import { GROUP, QUEUE, type PictureEvent, type Progress, type Resize, type Step } from "./events.ts";
import { Pictures } from "./pictures.ts";

/** Width and height of a thumbnail, in pixels. */
const SIZE = 320;

const [url = "", folder = "", pace = "0"] = process.argv.slice(2);
const pictures = new Pictures(folder);
const client = new Todoku(url, { token: process.env["WORKERS_KEY"] ?? "" });
client.on("error", ({ message }) => console.error(`worker ${process.pid}: ${message}`));

const worker = consume<Resize>(client, QUEUE, { group: GROUP, concurrency: 2 }, async (job) => {
  const { picture, hash, visitor } = job.data;
  const tell = (step: Step): void => {
    const progress = { picture, worker: process.pid, attempt: job.attempt, step } satisfies Progress;
    client.publish(`progress:${visitor}`, progress).catch(() => {});
  };
  try {
    tell("reading");
    const image = sharp(pictures.original(hash)).autoOrient();
    await image.metadata();
    await after(Number(pace), undefined, { signal: job.signal });
    tell("resizing");
    const { data, info } = await image
      .resize(SIZE, SIZE, { fit: "cover", position: "attention" })
      .webp()
      .toBuffer({ resolveWithObject: true });
    await after(Number(pace), undefined, { signal: job.signal });
    tell("saving");
    await pictures.keepThumbnail(hash, data);
    // Published with the end of the job, or not at all: however often the job is attempted, there is one of these.
    job.result(`pictures:${visitor}`, {
      kind: "done",
      picture,
      thumbnail: `/thumbnails/${hash}.webp`,
      width: info.width,
      height: info.height,
      attempt: job.attempt,
      worker: process.pid,
    } satisfies PictureEvent);
  } catch (error) {
    tell("failed");
    throw error;
  }
});
// A broken picture and a lost lease are the queue's business: the job comes again, or is a dead letter.
worker.on("error", () => {});

async function end(): Promise<void> {
  await worker.close({ giveBack: true });
  await client.close();
  process.exit();
}
process.once("SIGTERM", () => void end());
// Whoever started it is gone.
process.once("disconnect", () => process.exit());
// Ctrl-C goes to every process of the terminal; who started this one ends it.
process.on("SIGINT", () => {});
