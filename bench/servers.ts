/** The servers that are compared: ours, and the floor that nothing written with the same tools can be under. */
import path from "node:path";
import type { ConfigInput } from "../server/src/config.ts";
import { signToken } from "../server/src/auth/token.ts";
import { Program } from "../tests/program.ts";
import { freePort, ServerProcess } from "../tests/server-process.ts";

const SECRET = "a secret of the benchmarks";

export interface Contender extends AsyncDisposable {
  readonly name: string;
  readonly port: number;
  readonly program: Program;
  /** The request with which a client connects. */
  readonly connect: object;
}

const off = { connects: "off", commands: "off", publish: "off", subscribe: "off", user: "off" } as const;

/** The full path: authenticated sessions, the namespace's rules, metrics. */
const CONFIG: ConfigInput = {
  client: { ping: "10m", unauthenticated_per_address: 1000, rate: off },
  auth: { jwt: { hmac: SECRET } },
  backbones: { here: { type: "memory" } },
  namespaces: { ticker: { backbone: "here", subscribe: "authenticated", publish: "authenticated", info: false } },
};

export async function todoku(nodeFlags: readonly string[] = []): Promise<Contender> {
  const server = await ServerProcess.start(CONFIG, nodeFlags);
  return {
    name: "todoku",
    port: server.port,
    program: server.program,
    connect: { token: await signToken(SECRET, { user: "bench" }) },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

export async function floor(nodeFlags: readonly string[] = []): Promise<Contender> {
  const port = await freePort();
  const program = new Program(path.join(import.meta.dirname, "floor-server.ts"), [String(port)], { nodeFlags });
  await program.speaks();
  return {
    name: "floor: bare ws loop",
    port,
    program,
    connect: {},
    [Symbol.asyncDispose]: async () => void (await program.end("SIGKILL")),
  };
}

/** Makes `count` of something, not too many at once. */
export async function crowd<T>(count: number, make: (i: number) => Promise<T>): Promise<readonly T[]> {
  const made: T[] = [];
  while (made.length < count) {
    const next = Math.min(50, count - made.length);
    made.push(...(await Promise.all(Array.from({ length: next }, (_, i) => make(made.length + i)))));
  }
  return made;
}
