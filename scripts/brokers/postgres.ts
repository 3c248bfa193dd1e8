/** PostgreSQL: one server, with its own folder and port. Not a broker, but found and started like one. */
import { execFile } from "node:child_process";
import { chownSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import type { Recipe } from "./recipe.ts";
import { freePorts, ServerProcess } from "./server-process.ts";

const run = promisify(execFile);
/** Debian keeps the programs of each version in a folder of its own, and only the clients on the path. */
const VERSIONS = "/usr/lib/postgresql";

export const postgres: Recipe = {
  name: "postgres",
  // `pg_lsclusters` comes with the server's package only.
  programs: { pg_lsclusters: "postgresql" },
  start: async (folder) => {
    const [port = 0] = await freePorts(1);
    const data = path.join(folder, "data");
    const programs = newestPrograms();
    const owner = ownerOf();
    mkdirSync(data);
    if (owner) for (const place of [folder, data]) chownSync(place, owner.uid, owner.gid);
    await run(
      path.join(programs, "initdb"),
      [
        "--pgdata",
        data,
        "--username",
        "todoku",
        "--auth",
        "trust",
        "--encoding",
        "UTF8",
        "--locale",
        "C.UTF-8",
        "--no-sync",
      ],
      { cwd: folder, ...owner },
    );
    const server = new ServerProcess({
      name: "postgres",
      folder,
      command: path.join(programs, "postgres"),
      args: ["-D", data, "-p", String(port), "-k", folder, "-h", "127.0.0.1"].concat(
        ["shared_buffers=32MB", "max_connections=60", "jit=off"].flatMap((setting) => ["-c", setting]),
      ),
      port,
      isOutlived: true,
      // It takes connections before it has recovered, to say that it has not.
      isReady: () =>
        run(path.join(programs, "pg_isready"), ["-q", "-h", "127.0.0.1", "-p", String(port)]).then(
          () => true,
          () => false,
        ),
      ...owner,
    });
    await server.start();
    return { urls: [`postgres://todoku@127.0.0.1:${port}/postgres`], servers: [server] };
  },
};

function newestPrograms(): string {
  const [newest] = readdirSync(VERSIONS).toSorted((a, b) => Number(b) - Number(a));
  if (newest === undefined) throw new Error(`${VERSIONS} is empty: apt-get install postgresql`);
  return path.join(VERSIONS, newest, "bin");
}

/** PostgreSQL refuses to be run by root; Debian's package brings a user for it. */
function ownerOf(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((one) => one.startsWith("postgres:"));
  const [, , uid, gid] = line?.split(":") ?? [];
  if (uid === undefined) throw new Error("there is no user postgres to run PostgreSQL as, and root may not");
  return { uid: Number(uid), gid: Number(gid) };
}
