/** A gateway for the examples: todoku on an HTTP server of its own. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createTodoku, type ConfigInput } from "todoku";

export interface ExampleGateway {
  readonly port: number;
  /** For clients and for the HTTP API. */
  readonly url: string;
  close(): Promise<void>;
}

/** On loopback; `port` 0 takes a free one. */
export async function startGateway(config: ConfigInput, port = 0): Promise<ExampleGateway> {
  const todoku = await createTodoku({ auth: { insecure: true }, log: { level: "error" }, ...config });
  const server = createServer((request, response) => todoku.handler(request, response));
  todoku.attach(server);
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const { port: taken } = server.address() as AddressInfo;
  return {
    port: taken,
    url: `http://127.0.0.1:${taken}`,
    close: async () => {
      server.close();
      await todoku.close();
      server.closeAllConnections();
    },
  };
}
