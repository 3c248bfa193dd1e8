/**
 * Makes the page from its source. `#page` in package.json leads here when the server runs as TypeScript, and to the outcome,
 * written by `writeBuiltPage`, in the published package: there is no bundler in that.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import type { PageFiles } from "./page-files.ts";

const SOURCE = new URL("browser/", import.meta.url);

/** Takes a fraction of a second. Rejects with the bundler's error, which names file and line. */
export async function loadPage(): Promise<PageFiles> {
  const read = (file: string): Promise<string> => readFile(new URL(file, SOURCE), "utf8");
  const [html, css, icon, script] = await Promise.all([
    read("index.html"),
    read("style.css"),
    read("icon.svg"),
    bundle(fileURLToPath(new URL("main.ts", SOURCE))),
  ]);
  return {
    "/": { type: "text/html; charset=utf-8", body: html },
    "/page/style.css": { type: "text/css; charset=utf-8", body: css },
    "/page/icon.svg": { type: "image/svg+xml", body: icon },
    "/page/main.js": { type: "text/javascript; charset=utf-8", body: script },
  };
}

/** Writes the module that `#page` leads to in the published package: `page/built.js` in the package's `dist`. */
export async function writeBuiltPage(dist: string): Promise<void> {
  const folder = path.join(dist, "page");
  await mkdir(folder, { recursive: true });
  const files = JSON.stringify(await loadPage(), undefined, 2);
  await writeFile(path.join(folder, "built.js"), `export async function loadPage() {\n  return ${files};\n}\n`);
  const type = "Promise<Readonly<Record<string, { readonly type: string; readonly body: string }>>>";
  await writeFile(path.join(folder, "built.d.ts"), `export declare function loadPage(): ${type};\n`);
}

/** Bundles a browser's entry file and what it imports, from the workspaces' source, into one script. */
export async function bundle(entry: string): Promise<string> {
  const bundled = await rolldown({
    input: entry,
    platform: "browser",
    resolve: { conditionNames: ["source", "import", "default"] },
  });
  try {
    const { output } = await bundled.generate({ format: "esm", minify: true });
    return output[0].code;
  } finally {
    await bundled.close();
  }
}
