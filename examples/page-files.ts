/** The pages of the examples: the HTML and the style as they are, the script bundled with the SDK, as your own bundler would. */
import { readFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import path from "node:path";
import { rolldown } from "rolldown";

/** By its path on the server. */
export type PageFiles = ReadonlyMap<string, { readonly type: string; readonly body: string }>;

/** `index.html`, `main.ts` and `style.css` of a folder; before the style stands what all pages have in common. */
export async function pageFiles(folder: string): Promise<PageFiles> {
  const bundled = await rolldown({
    input: path.join(folder, "main.ts"),
    platform: "browser",
    // In this repository the SDK is its source; an application has it from npm and needs no conditions.
    resolve: { conditionNames: ["source", "import", "default"] },
  });
  const { output } = await bundled.generate({ format: "esm" });
  await bundled.close();
  const styles = [path.join(import.meta.dirname, "page.css"), path.join(folder, "style.css")];
  const style = (await Promise.all(styles.map((file) => readFile(file, "utf8")))).join("\n");
  return new Map([
    ["/", { type: "text/html; charset=utf-8", body: await readFile(path.join(folder, "index.html"), "utf8") }],
    ["/style.css", { type: "text/css; charset=utf-8", body: style }],
    ["/main.js", { type: "text/javascript; charset=utf-8", body: output[0].code }],
  ]);
}

/** Sends one of them, or 404. */
export function sendPageFile(response: ServerResponse, files: PageFiles, url = "/"): void {
  const file = files.get(url);
  if (!file) {
    response.writeHead(404).end();
    return;
  }
  response
    .writeHead(200, {
      "content-type": file.type,
      "content-security-policy": "default-src 'self'; img-src 'self' data:",
    })
    .end(file.body);
}
