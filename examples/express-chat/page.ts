/** Serves the page. Its script is bundled at the first request, as your own bundler would do before. */
import { readFile } from "node:fs/promises";
import path from "node:path";
import { Router } from "express";
import { rolldown } from "rolldown";

const FOLDER = path.join(import.meta.dirname, "browser");

export function servePage(): Router {
  let script: Promise<string> | undefined;
  const router = Router();
  router.get("/", async (_, response) => void response.type("html").send(await read("index.html")));
  router.get("/style.css", async (_, response) => void response.type("css").send(await read("style.css")));
  router.get("/main.js", async (_, response) => {
    script ??= bundle(path.join(FOLDER, "main.ts"));
    response.type("js").send(await script);
  });
  return router;
}

function read(file: string): Promise<string> {
  return readFile(path.join(FOLDER, file), "utf8");
}

async function bundle(entry: string): Promise<string> {
  const bundled = await rolldown({
    input: entry,
    platform: "browser",
    // In this repository the SDK is its source; an application has it from npm and needs no conditions.
    resolve: { conditionNames: ["source", "import", "default"] },
  });
  try {
    const { output } = await bundled.generate({ format: "esm" });
    return output[0].code;
  } finally {
    await bundled.close();
  }
}
