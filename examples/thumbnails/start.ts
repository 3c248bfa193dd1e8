/**
 * Everything with one command: the server, three workers, and the page.
 *
 *     npm run example thumbnails -- --pace 500
 *
 * Kill workers while they work, on the page or with kill -9: every picture ends with exactly one thumbnail.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { startThumbnails } from "./thumbnails.ts";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "8020" },
    pace: { type: "string", default: "500" },
    data: { type: "string" },
  },
});
const paceMs = Number(values.pace);
if (!(paceMs >= 0)) throw new Error(`--pace takes milliseconds, not ${values.pace}`);

const folder = path.resolve(values.data ?? (await mkdtemp(path.join(tmpdir(), "todoku-thumbnails-"))));
const thumbnails = await startThumbnails({ port: Number(values.port), folder, paceMs });
console.log(`thumbnails are made on ${thumbnails.url} (Ctrl-C ends it)`);
console.log(`the workers are processes ${thumbnails.workers.join(", ")}; try: kill -9 ${thumbnails.workers[0]}`);

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    void thumbnails
      .close()
      .then(() => (values.data === undefined ? rm(folder, { recursive: true, force: true }) : undefined))
      .then(() => process.exit(0));
  });
}
