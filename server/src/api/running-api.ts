/** A real server on a free port for the tests of the API, and short ways to talk to it. */
import { mkdtemp, rm } from "node:fs/promises";
import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Json } from "@todoku/protocol";
import { signToken } from "../auth/token.ts";
import type { ConfigInput } from "../config.ts";
import { parseConfig } from "../config-file.ts";
import { startServer, WEBSOCKET_PATH, type RunningServer, type ServerOptions } from "../server.ts";

export const API_KEY = "a-key-for-the-tests-of-the-api";
export const SECRET = "a-secret-for-the-tests-of-the-api";

export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- answers are looked into freely
  readonly body: any;
}

export interface Sent {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

/** A call of the API as it went over the wire. */
export interface RecordedCall {
  readonly method: string;
  readonly request: unknown;
  readonly answer: Answered;
}

export const TEST_CONFIG: ConfigInput = {
  http: { port: 0 },
  log: { level: "silent" },
  auth: { jwt: { hmac: SECRET }, api_keys: [{ id: "backend", key: API_KEY }] },
  backbones: { memory: { type: "memory" } },
  namespaces: {
    "": { backbone: "memory", subscribe: "any" },
    chat: {
      backbone: "memory",
      retention: { messages: 100 },
      subscribe: "any",
      presence: "any",
      publish: "subscribers",
    },
    jobs: { backbone: "memory", consume: "any", queue: { max_attempts: 1 } },
  },
};

export class RunningApi {
  readonly server: RunningServer;
  /** Every call made through `call`. */
  readonly recorded: RecordedCall[] = [];
  readonly #base: URL;
  readonly #sockets: TestClient[] = [];

  private constructor(server: RunningServer, url: string) {
    this.server = server;
    // A name could stand for another address than the one that is listened on.
    this.#base = new URL(url.replace("localhost", "127.0.0.1"));
  }

  static async start(config: ConfigInput = TEST_CONFIG, options: ServerOptions = {}): Promise<RunningApi> {
    const server = await startServer(parseConfig(config), options);
    return new RunningApi(server, server.url);
  }

  get url(): string {
    return this.#base.origin;
  }

  /** One call with the API key. */
  async call(method: string, request: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answered> {
    const answer = await this.send({
      path: `/api/${method}`,
      headers: { "x-api-key": API_KEY, ...headers },
      body: JSON.stringify(request),
    });
    this.recorded.push({ method, request, answer });
    return answer;
  }

  /** As `call`, with what stands in `result`. */
  async result(method: string, request: unknown): Promise<Answered["body"]> {
    const { status, text, body } = await this.call(method, request);
    if (status !== 200 || !("result" in body)) throw new Error(`${method} was answered ${status} ${text}`);
    return body.result;
  }

  /** Any request, with nothing added. */
  send({ method = "POST", path: at, headers = {}, body }: Sent, base: string = this.#base.href): Promise<Answered> {
    return new Promise((resolve, reject) => {
      const sent = httpRequest(new URL(at, base), { method, headers, agent: false }, (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => (text += chunk));
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text,
            body: text.startsWith("{") ? JSON.parse(text) : undefined,
          }),
        );
        response.on("error", reject);
      });
      sent.on("error", reject);
      sent.end(body);
    });
  }

  /** A connected WebSocket client of a user. */
  async connect(user: string): Promise<TestClient> {
    const client = await TestClient.open(
      this.url.replace("http", "ws") + WEBSOCKET_PATH,
      await signToken(SECRET, { user }),
    );
    this.#sockets.push(client);
    return client;
  }

  async close(): Promise<void> {
    for (const client of this.#sockets) client.close();
    await this.server.close();
  }
}

type Received = Record<string, Answered["body"]>;

/** Speaks the protocol just well enough. */
export class TestClient {
  readonly received: Received[] = [];
  client = "";
  readonly #socket: WebSocket;
  readonly #waiting = new Set<() => void>();
  #closed: { code: number; reason: string } | undefined;
  #id = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }: MessageEvent<string>) => {
      this.received.push(...data.split("\n").map((line) => JSON.parse(line) as Received));
      for (const wake of this.#waiting) wake();
    });
    socket.addEventListener("close", ({ code, reason }) => {
      this.#closed = { code, reason };
      for (const wake of this.#waiting) wake();
    });
  }

  static async open(url: string, token: string): Promise<TestClient> {
    const socket = new WebSocket(url);
    const client = new TestClient(socket);
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve, { once: true });
      socket.addEventListener("error", reject, { once: true });
    });
    const { connect } = await client.ask({ connect: { token } });
    client.client = connect.client as string;
    return client;
  }

  /** Sends a command; resolves with its reply. */
  ask(command: Record<string, Json>): Promise<Received> {
    const id = ++this.#id;
    this.#socket.send(JSON.stringify({ id, ...command }));
    return this.until((reply) => reply["id"] === id);
  }

  /** The first frame, received already or still to come, that fits. */
  async until(fits: (received: Received) => boolean): Promise<Received> {
    for (;;) {
      const found = this.received.find(fits);
      if (found) return found;
      if (this.#closed) throw new Error(`closed with ${this.#closed.code} ${this.#closed.reason}`);
      await this.#next();
    }
  }

  push(kind: string): Promise<Received> {
    return this.until(({ push }) => push !== undefined && Object.hasOwn(push, kind)).then(({ push }) => push);
  }

  async closed(): Promise<{ code: number; reason: string }> {
    while (!this.#closed) await this.#next();
    return this.#closed;
  }

  close(): void {
    this.#socket.close();
  }

  #next(): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        resolve();
      };
      this.#waiting.add(wake);
    });
  }
}

/** A folder that is gone afterwards. */
export async function withFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(path.join(tmpdir(), "todoku-api-"));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
