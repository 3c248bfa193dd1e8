/** The SDK as it is published: two ES modules and their types, the private protocol package inlined. */
import path from "node:path";
import { build } from "tsdown";

const CLIENT = path.join(import.meta.dirname, "../client");

export interface BundleOptions {
  readonly outDir: string;
  /** As a page would ship it. */
  readonly minify?: boolean;
}

export async function bundleClient({ outDir, minify = false }: BundleOptions): Promise<void> {
  await build({
    cwd: CLIENT,
    config: false,
    entry: { index: "src/index.ts", file: "src/stores/file.ts" },
    format: "esm",
    platform: "neutral",
    target: "es2022",
    outDir,
    clean: true,
    minify,
    dts: minify ? false : { oxc: true },
    deps: { alwaysBundle: ["@todoku/protocol"], neverBundle: [/^node:/] },
    inputOptions: { resolve: { conditionNames: ["source", "import", "default"] } },
    logLevel: "warn",
  });
}
