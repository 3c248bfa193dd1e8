/** An Express application with todoku inside: it takes pictures, hands them to workers, and their results to whoever sent them. */
import { createHash, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import express, { Router, type Request } from "express";
import { createTodoku, ERRORS, TodokuError, type Caller } from "todoku";
import { pageFiles, sendPageFile } from "../page-files.ts";
import { Processes } from "../processes.ts";
import { CREW, GROUP, QUEUE, type Channels, type DeadPicture, type Resize } from "./events.ts";
import { Pictures } from "./pictures.ts";

export interface Thumbnails {
  readonly url: string;
  /** Process ids of the workers that there are now. */
  readonly workers: readonly number[];
  readonly pictures: Pictures;
  close(): Promise<void>;
}

export interface ThumbnailsOptions {
  /** 0 takes a free one. */
  readonly port: number;
  /** Pictures, and the data of todoku. */
  readonly folder: string;
  /** Between the steps of a job, so that there is something to see, and time to kill its worker. */
  readonly paceMs: number;
}

const WORKERS = 3;
const WORKER = "worker";
const MOST_BYTES = 20 * 1024 * 1024;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Whoever has the same secret is the same visitor. A real application has its sessions here. */
export function visitorOf(secret: string): string | undefined {
  return UUID.test(secret) ? createHash("sha256").update(secret).digest("hex").slice(0, 32) : undefined;
}

/** Starts the server and the workers. */
export async function startThumbnails({ port, folder, paceMs }: ThumbnailsOptions): Promise<Thumbnails> {
  const [workersKey, apiKey] = [randomUUID(), randomUUID()];
  const pictures = new Pictures(path.join(folder, "pictures"));
  const onlyWorkers = ({ user }: Caller): void => {
    if (user !== WORKER) throw new TodokuError(ERRORS.permissionDenied);
  };
  const todoku = await createTodoku<Channels>(
    {
      log: { level: "error" },
      auth: { api_keys: [{ id: "application", key: apiKey }] },
      backbones: { local: { type: "embedded", path: path.join(folder, "todoku") } },
      namespaces: {
        jobs: {
          backbone: "local",
          delivery: "exactly-once",
          consume: "authenticated",
          queue: { lease: "3s", max_attempts: 5, backoff: "500ms..2s" },
        },
        pictures: { backbone: "local", delivery: "exactly-once", publish: "authenticated", retention: { age: "1d" } },
        progress: { backbone: "local", delivery: "at-most-once", publish: "authenticated" },
        workers: { backbone: "local", delivery: "at-least-once", retention: { messages: 1 } },
      },
    },
    {
      onConnect: ({ token = "" }) => {
        const user = token === workersKey ? WORKER : visitorOf(token);
        if (user === undefined) throw new TodokuError(ERRORS.unauthorized);
        return { user };
      },
      onSubscribe: ({ user }, channel) => {
        if (channel !== CREW && !channel.endsWith(`:${user}`)) throw new TodokuError(ERRORS.permissionDenied);
      },
      onPublish: (caller) => onlyWorkers(caller),
      onConsume: (caller, _, group) => {
        onlyWorkers(caller);
        if (group !== GROUP) throw new TodokuError(ERRORS.permissionDenied);
      },
    },
  );

  const routes = Router();
  const app = express().use(routes);
  const server = createServer(app);
  const url = (): string => `http://localhost:${(server.address() as AddressInfo).port}`;

  /** Repeated by the browser until it is answered. Every step may be repeated: each has a key of its own. */
  const accept = async (visitor: string, picture: string, name: string, content: Uint8Array): Promise<void> => {
    const hash = await pictures.keep(content);
    const key = `${visitor}/${picture}`;
    await todoku.publish(`pictures:${visitor}`, { kind: "accepted", picture, name }, { key });
    await todoku.publish(QUEUE, { picture, name, hash, visitor }, { key });
  };

  routes.put("/pictures/:picture", express.raw({ type: () => true, limit: MOST_BYTES }), (request, response, next) => {
    const visitor = visitorIn(request);
    const { picture } = request.params;
    const { name = picture } = request.query;
    const content: unknown = request.body;
    if (visitor === undefined || !UUID.test(picture) || typeof name !== "string" || !(content instanceof Uint8Array)) {
      response.status(400).json({ error: "a picture is sent as it is, by a visitor, under a UUID" });
      return;
    }
    accept(visitor, picture, name.slice(0, 100), content).then(() => response.json({}), next);
  });

  routes.get("/thumbnails/:file", (request, response, next) => {
    const hash = request.params.file.replace(/\.webp$/, "");
    if (!/^[0-9a-f]{64}$/.test(hash)) return next();
    response.sendFile(pictures.thumbnail(hash), { immutable: true, maxAge: "1y" });
  });

  routes.get("/dead", (request, response, next) => {
    deadOf(visitorIn(request)).then((letters) => {
      const shown = letters.map(({ id, attempts, reason, job }): DeadPicture => {
        return { id, attempts, reason, picture: job.data.picture };
      });
      response.json(shown);
    }, next);
  });

  /** Whoever may see a dead letter may have it tried again. */
  const replay = async (visitor: string | undefined, id: string): Promise<void> => {
    const ids = (await deadOf(visitor)).map((letter) => letter.id).filter((each) => each === id);
    if (ids.length > 0) await call("dead_replay", { queue: QUEUE, ids });
  };

  routes.post("/dead/:id/replay", (request, response, next) => {
    replay(visitorIn(request), request.params.id).then(() => response.json({}), next);
  });

  routes.post("/workers/:pid/kill", (request, response) => {
    const killed = visitorIn(request) !== undefined && workers.kill(Number(request.params.pid));
    response.status(killed ? 200 : 404).json({});
  });

  app.use((request, response, next) => todoku.handler(request, response, next));
  const files = await pageFiles(path.join(import.meta.dirname, "browser"));
  app.use((request, response) => sendPageFile(response, files, request.path));

  /** Dead letters of the visitor's pictures, from the HTTP API. */
  async function deadOf(visitor: string | undefined): Promise<readonly Letter[]> {
    const { dead_letters: letters } = (await call("dead_list", { queue: QUEUE, limit: 1000 })) as {
      dead_letters: readonly Letter[];
    };
    return letters.filter(({ job }) => job.data.visitor === visitor);
  }

  async function call(method: string, request: object): Promise<unknown> {
    const headers = { "x-api-key": apiKey };
    const answer = await fetch(`${url()}/api/${method}`, { method: "POST", headers, body: JSON.stringify(request) });
    const { result, error } = (await answer.json()) as { result?: unknown; error?: { message: string } };
    if (error) throw new Error(error.message);
    return result;
  }

  todoku.attach(server);
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const workers = new Processes({
    specs: Array.from({ length: WORKERS }, (_, i) => ({
      name: `worker ${i + 1}`,
      script: path.join(import.meta.dirname, "worker.ts"),
      args: [url(), path.join(folder, "pictures"), String(paceMs)],
      env: { WORKERS_KEY: workersKey },
    })),
    changed: (crew) => void todoku.publish(CREW, { workers: crew }).catch((error: unknown) => console.error(error)),
  });
  return {
    url: url(),
    pictures,
    get workers() {
      return workers.pids;
    },
    close: async () => {
      await workers.close();
      await todoku.close();
      server.close();
      server.closeAllConnections();
    },
  };
}

interface Letter {
  readonly id: string;
  readonly attempts: number;
  readonly reason: string;
  readonly job: { readonly data: Resize };
}

function visitorIn(request: Request): string | undefined {
  return visitorOf(/^Bearer (.+)$/.exec(request.get("authorization") ?? "")?.[1] ?? "");
}
