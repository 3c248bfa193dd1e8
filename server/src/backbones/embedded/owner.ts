/** One process at a time owns a data folder. */
import { createHash } from "node:crypto";
import { accessSync, constants, mkdirSync, realpathSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { BackboneError } from "../contract.ts";

/**
 * Takes the folder, or rejects if another process has it. The ownership is a listening local socket: the operating system
 * gives it back when the process ends, however it ends, so a killed server never blocks the next one.
 *
 * On Linux the socket has a name in the abstract namespace and leaves no file; two containers that share a folder but no
 * network namespace do not see each other's.
 */
export async function ownFolder(name: string, folder: string): Promise<() => Promise<void>> {
  const id = createHash("sha256").update(realOf(name, folder)).digest("hex").slice(0, 32);
  const server = createServer((socket) => socket.destroy());
  server.unref();
  try {
    await listen(server, socketPath(id));
  } catch (error) {
    const inUse = error instanceof Error && "code" in error && error.code === "EADDRINUSE";
    if (!inUse) throw new BackboneError("invalid", `[${name}] cannot lock the data folder ${folder}`, { cause: error });
    throw new BackboneError(
      "invalid",
      `[${name}] the data folder ${folder} is in use by another process. Stop that one, or set backbones.${name}.path to another folder`,
      { cause: error },
    );
  }
  return () => new Promise((resolve) => server.close(() => resolve()));
}

/** The folder by its one real name, made if it is missing. */
function realOf(name: string, folder: string): string {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
    return realpathSync(folder);
  } catch (error) {
    throw new BackboneError(
      "invalid",
      `[${name}] the data folder ${folder} cannot be used (${error instanceof Error ? error.message : String(error)}). ` +
        `Give this user the right to read and write it, or set backbones.${name}.path to another folder`,
      { cause: error },
    );
  }
}

function socketPath(id: string): string {
  if (process.platform === "linux") return `\0todoku-${id}`;
  return process.platform === "win32" ? `\\\\.\\pipe\\todoku-${id}` : path.join(tmpdir(), `todoku-${id}.sock`);
}

function listen(server: Server, place: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(place, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
