/** todoku's HTTP server as `serve` starts it. */
import path from "node:path";
import { ContenderProcess } from "../contender-process.ts";
import { configOf } from "../servers/todoku.ts";
import { API_KEY, NAMESPACE, type HttpServer } from "./http-server.ts";

export const todokuHttp: HttpServer = {
  name: "todoku",
  start: async (port) => {
    const { auth, namespaces, ...rest } = configOf("at-most-once", "");
    const config = {
      ...rest,
      http: { port },
      auth: { ...auth, api_keys: [{ id: "bench", key: API_KEY }] },
      namespaces: { [NAMESPACE]: namespaces?.["c"] },
    };
    return listening(path.join(import.meta.dirname, "todoku-program.ts"), JSON.stringify(config));
  },
};

/** What must be done at the least: a request is read, its JSON parsed, and answered. */
export const floorHttp: HttpServer = {
  name: "floor: bare node:http",
  deaf: true,
  start: async (port) => listening(path.join(import.meta.dirname, "floor-program.ts"), String(port)),
};

async function listening(program: string, argument: string): Promise<ContenderProcess> {
  const process = ContenderProcess.node(program, [argument]);
  await process.says("listening");
  return process;
}
