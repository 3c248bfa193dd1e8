/** Makes what is published: `client/dist` and `server/dist`, each then looked over by publint. */
import { spawnSync } from "node:child_process";
import { copyFileSync, globSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { writeBuiltPage } from "../server/src/page/bundle.ts";
import { bundleClient } from "./bundle-client.ts";

const ROOT = path.join(import.meta.dirname, "..");
const DIST = path.join(ROOT, "server/dist");

await bundleClient({ outDir: path.join(ROOT, "client/dist") });
rmSync(DIST, { recursive: true, force: true });
await writeBuiltPage(DIST);
buildServer();
for (const room of ["client", "server"]) {
  copyFileSync(path.join(ROOT, "LICENSE"), path.join(ROOT, room, "dist/LICENSE"));
  run("publint", ["--strict", room]);
}

/** The protocol package is private: it is compiled into the server's folder, and the server refers to it there. */
function buildServer(): void {
  const protocol = path.join(DIST, "protocol");
  run("tsc", ["-p", "protocol", "--noEmit", "false", "--rootDir", "protocol/src", "--outDir", protocol]);
  run("tsc", ["-p", "server/tsconfig.build.json"]);
  for (const file of globSync("**/*.{js,d.ts}", { cwd: DIST })) {
    const full = path.join(DIST, file);
    const text = readFileSync(full, "utf8");
    const toProtocol = path.posix.relative(path.posix.dirname(file), "protocol/index.js");
    const specifier = toProtocol.startsWith(".") ? toProtocol : `./${toProtocol}`;
    const rewritten = text
      .replaceAll('from "@todoku/protocol"', `from "${specifier}"`)
      .replaceAll('import("@todoku/protocol")', `import("${specifier}")`)
      // The compiler does this in its JavaScript, and leaves its declarations as they are.
      .replaceAll(/((?:from |import\()"\.[^"]+)\.ts"/g, '$1.js"');
    if (rewritten !== text) writeFileSync(full, rewritten);
  }
}

function run(command: string, args: readonly string[]): void {
  const { status, error } = spawnSync(path.join(ROOT, "node_modules/.bin", command), args, {
    cwd: ROOT,
    stdio: "inherit",
    shell: process.platform === "win32",
  });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}
