/** The ports that all workers listen on. */
import { createServer } from "node:net";
import type { Config } from "../config.ts";
import { ConfigError } from "../config-error.ts";
import { portError } from "../listening.ts";
import type { Ready } from "./forked-process.ts";

/** Where the first worker was given a free port, all others take that one. */
export function withPorts(config: Config, { url, internalUrl }: Ready): Config {
  const { http, internal } = config;
  return {
    ...config,
    ...(http.port === 0 && url !== "" && { http: { ...http, port: Number(new URL(url).port) } }),
    ...(internal?.port === 0 &&
      internalUrl !== undefined && { internal: { ...internal, port: Number(new URL(internalUrl).port) } }),
  };
}

/**
 * Processes that share a port would share it with those of another todoku as well: it is asked first whether somebody is there.
 *
 * @throws Error that names the key to change.
 */
export async function portsMustBeFree({ http, internal }: Config): Promise<void> {
  try {
    await listens({ host: "127.0.0.1", port: 0, reusePort: true });
  } catch (error) {
    throw new ConfigError(
      [
        `workers needs a system on which processes can share a port (Linux, FreeBSD), and this is ${process.platform}. Set workers to 1`,
      ],
      { cause: error },
    );
  }
  for (const [key, at] of Object.entries({ http, internal })) {
    if (!at || at.port === 0) continue;
    try {
      await listens({ host: at.host, port: at.port });
    } catch (error) {
      throw portError({ key, ...at }, error as Error);
    }
  }
}

function listens(at: { host: string; port: number; reusePort?: boolean }): Promise<void> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(at, () => server.close(() => resolve()));
  });
}
