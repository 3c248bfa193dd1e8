/** The docs against the code: generated pages, links, commands, configurations, and every `curl` line of them. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { parse } from "yaml";
import type { ConfigInput } from "../server/src/config.ts";
import { parseConfig } from "../server/src/config-file.ts";
import { COMMANDS } from "../server/src/cli/commands.ts";
import { DEV_CONFIG } from "../server/src/dev-config.ts";
import { openNamespaces } from "../server/src/namespaces/open.ts";
import { createBackbone } from "../server/src/backbones/registry.ts";
import { systemClock } from "../server/src/clock.ts";
import { createLogger } from "../server/src/logger.ts";
import { startServer, type RunningServer } from "../server/src/server.ts";
import { reference } from "./reference.ts";

const run = promisify(execFile);
const root = path.join(import.meta.dirname, "..");
const pages = globSync("{*.md,docs/**/*.md,client/*.md,server/*.md,protocol/*.md,examples/**/*.md}", {
  cwd: root,
  exclude: (name) => name.includes("node_modules"),
}).map((file) => ({ file, text: readFileSync(path.join(root, file), "utf8") }));

interface Block {
  readonly file: string;
  readonly language: string;
  readonly text: string;
}

const blocks: readonly Block[] = pages.flatMap(({ file, text }) =>
  [...text.matchAll(/^```(\w+)[^\n]*\n(.*?)^```/gms)].map(([, language = "", body = ""]) => ({
    file,
    language,
    text: body,
  })),
);

test("the generated pages are what the code makes of them", () => {
  for (const [file, text] of reference()) {
    assert.equal(readFileSync(path.join(root, file), "utf8"), text, `${file} differs from the code; run npm run docs`);
  }
});

test("every relative link leads to a file, and every anchor to a heading", () => {
  for (const { file, text } of pages) {
    for (const [, target = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [to = "", anchor] = target.split("#");
      const place = to === "" ? path.join(root, file) : path.join(root, path.dirname(file), to);
      assert.ok(existsSync(place), `${file} links to ${target}, which is not there`);
      if (anchor === undefined || !place.endsWith(".md")) continue;
      const headings = [...readFileSync(place, "utf8").matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) => slug(title));
      assert.ok(headings.includes(anchor), `${file} links to ${target}, whose heading is not there`);
    }
  }
});

test("the SDK's page names everything that the SDK exports", async () => {
  const page = readFileSync(path.join(root, "docs/reference/sdk.md"), "utf8");
  const exported = [
    ...Object.keys(await import("../client/src/index.ts")),
    ...Object.keys(await import("../client/src/stores/file.ts")),
    ...Object.keys(await import("../client/src/stores/postgres.ts")),
    ...Object.keys(await import("../client/src/queue.ts")),
  ];
  assert.deepEqual(
    exported.filter((name) => !page.includes(name)),
    [],
  );
});

test("every script and command that the docs name exists", () => {
  const { scripts } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  const commands = new Set(COMMANDS.map(({ name }) => name));
  for (const { file, language, text } of blocks) {
    if (language !== "sh") continue;
    for (const [, script = ""] of text.matchAll(/^npm run ([\w:-]+)/gm)) {
      assert.ok(script in scripts, `${file} names npm run ${script}, which is not in package.json`);
    }
    for (const [, command = ""] of text.matchAll(/^(?:npx )?todoku ([a-z]+)/gm)) {
      assert.ok(commands.has(command), `${file} names todoku ${command}, which is no command`);
    }
  }
});

test("every configuration in the docs is accepted, with promises that can be kept", async () => {
  const secrets = { hmac: "a-secret-of-enough-length", key: "a-key-of-enough-length" };
  const found = blocks.filter(
    ({ language, text }) => language === "yaml" && /^(namespaces|backbones|auth|http|client):/m.test(text),
  );
  assert.ok(found.length > 0);
  for (const { file, text } of found) {
    const filled = text.replaceAll("${TODOKU_JWT_SECRET}", secrets.hmac).replaceAll(/\$\{\w+\}/g, secrets.key);
    try {
      const config = parseConfig(parse(filled) as ConfigInput);
      const made = Object.entries(config.backbones).map(
        async ([name, settings]) => [name, await createBackbone(name, settings, systemClock)] as const,
      );
      openNamespaces(config, new Map(await Promise.all(made)));
    } catch (error) {
      assert.fail(
        `${file} has a configuration that is refused: ${error instanceof Error ? error.message : String(error)}\n${text}`,
      );
    }
  }
});

test("every TypeScript example has the types that it should", async (t) => {
  const examples = blocks.filter(({ language }) => language === "ts");
  assert.ok(examples.length > 0);
  // Within the repository, so that its packages are found.
  const folder = mkdtempSync(path.join(root, "node_modules/.docs-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const names = examples.map(({ file, text }, i) => {
    const name = `${i}-${file.replaceAll("/", "-")}.ts`;
    writeFileSync(path.join(folder, name), `${text}\nexport {};\n`);
    return name;
  });
  writeFileSync(path.join(folder, "names.d.ts"), NAMES_OF_EXAMPLES);
  // As readers have it: strict, and no more than that.
  const compilerOptions = { types: ["node"], lib: ["es2024", "dom"], exactOptionalPropertyTypes: false };
  const settings = { extends: path.join(root, "tsconfig.base.json"), compilerOptions, files: ["names.d.ts", ...names] };
  writeFileSync(path.join(folder, "tsconfig.json"), JSON.stringify(settings));
  const tsc = path.join(root, "node_modules/typescript/bin/tsc");
  const { stdout } = await run(process.execPath, [tsc, "-p", folder], { cwd: folder }).catch((error: unknown) =>
    typeof error === "object" && error !== null && "stdout" in error
      ? { stdout: String(error.stdout) }
      : Promise.reject(error),
  );
  assert.equal(stdout, "");
});

/** What the examples use and do not show. */
const NAMES_OF_EXAMPLES = `
import type { Json, Subscription, Todoku as Client } from "@todoku/client";
import type { ConfigInput } from "todoku";
declare global {
  interface Chat { text: string }
  interface Quote { price: number }
  interface Picture { owner: string }
  interface Transfer { from: string; to: string; amount: number }
  const client: Client;
  function resize(picture: Picture, signal: AbortSignal): Promise<Json>;
  const Todoku: typeof Client;
  const subscription: Subscription<Json>;
  const url: string;
  const config: ConfigInput;
  function show(data: unknown): void;
  function draw(data: unknown): void;
  function reload(...why: unknown[]): void;
  function handle(message: unknown): Promise<void>;
  function fetchToken(): Promise<string>;
  function userOf(data: unknown): string;
  const client: Client;
}
`;

describe("the curl lines of the docs, against a server started as npm start does", () => {
  let folder: string;
  let server: RunningServer;
  before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), "todoku-docs-"));
    const config = parseConfig({
      ...DEV_CONFIG,
      http: { port: 0 },
      backbones: { local: { type: "embedded", path: path.join(folder, "data") } },
    });
    server = await startServer(config, { logger: createLogger({ level: "silent" }) });
  });
  after(async () => {
    await server.close();
    rmSync(folder, { recursive: true });
  });

  const lines = blocks.flatMap(({ file, language, text }) =>
    language === "sh" ? text.split("\n").flatMap((line) => (line.startsWith("curl ") ? [{ file, line }] : [])) : [],
  );
  for (const { file, line } of lines) {
    test(`${file}: ${line}`, async (context) => {
      if (!line.includes("localhost:8000")) {
        context.skip("it is for another server");
        return;
      }
      const command = line.replaceAll("localhost:8000", server.url.replace("http://", ""));
      const { stdout } = await run("sh", ["-c", command]);
      assert.doesNotMatch(stdout, /"error":\{/, stdout);
      assert.notEqual(stdout, "");
    });
  }
});

/** A heading's anchor, as GitHub makes it. */
function slug(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}
