/**
 * Centrifugo itself, as its documentation sets it up for production: an API key, tokens, the memory engine, nothing logged but
 * what happens. A process of Go counts its cores when it starts, and has one here as everybody has.
 */
import { connect } from "node:net";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { build, CACHE, programOf, type Recipe } from "../built.ts";
import { ContenderProcess } from "../contender-process.ts";
import { SECRET } from "../servers/token.ts";
import { API_KEY, NAMESPACE, type HttpServer } from "./http-server.ts";

const VERSION = "6.9.1";
const PATIENCE_MS = 20_000;
const LOOK_MS = 20;

const RECIPE: Recipe = {
  name: "centrifugo",
  // The version that it is built of is named here.
  source: import.meta.filename,
  compiler: "go",
  args: () => ["install", "-trimpath", `github.com/centrifugal/centrifugo/v6@v${VERSION}`],
  env: { GOBIN: CACHE },
};

export const centrifugoHttp: HttpServer = {
  name: "Centrifugo",
  versions: () => ({ centrifugo: VERSION }),
  prepare: () => build(RECIPE),
  start: async (port) => {
    const folder = mkdtempSync(path.join(tmpdir(), "todoku-bench-"));
    const file = path.join(folder, "config.json");
    writeFileSync(file, JSON.stringify(configOf(port)));
    const process = new ContenderProcess(programOf(RECIPE), ["--config", file]);
    process.afterwards(() => rmSync(folder, { recursive: true, force: true }));
    // It never says so; but if it ends, its last words say why.
    const ended = process.says("listening");
    ended.catch(() => {});
    await Promise.race([untilListening(port), ended]);
    return process;
  },
};

function configOf(port: number): object {
  return {
    http_server: { address: "127.0.0.1", port: String(port) },
    http_api: { key: API_KEY },
    client: { token: { hmac_secret_key: SECRET } },
    channel: { namespaces: [{ name: NAMESPACE, allow_subscribe_for_client: true }] },
    log: { level: "info" },
  };
}

async function untilListening(port: number): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await canConnect(port))) {
    if (performance.now() > deadline) throw new Error(`nobody listens on port ${port}`);
    await after(LOOK_MS);
  }
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    const answer = (can: boolean): void => {
      socket.destroy();
      resolve(can);
    };
    socket.once("connect", () => answer(true));
    socket.once("error", () => answer(false));
  });
}
