/** The SDK as it is published: ES modules and their types, the private protocol package inlined. */
import path from "node:path";
import { build } from "tsdown";

const CLIENT = path.join(import.meta.dirname, "../client");

export interface BundleOptions {
  readonly outDir: string;
  /** As a page would ship it. */
  readonly minify?: boolean;
}

export async function bundleClient({ outDir, minify = false }: BundleOptions): Promise<void> {
  const options = {
    cwd: CLIENT,
    config: false,
    format: "esm",
    platform: "neutral",
    target: "es2022",
    outDir,
    minify,
    dts: minify ? false : { oxc: true },
    logLevel: "warn",
  } as const;
  const conditionNames = ["source", "import", "default"];
  await build({
    ...options,
    entry: { index: "src/index.ts", file: "src/stores/file.ts" },
    clean: true,
    deps: { alwaysBundle: ["@todoku/protocol"], neverBundle: [/^node:/] },
    inputOptions: { resolve: { conditionNames } },
  });
  // These take errors and codes from the main entry, so that there is one class of errors and the main entry is one file.
  await build({
    ...options,
    entry: { queue: "src/queue.ts", postgres: "src/stores/postgres.ts" },
    clean: false,
    plugins: [
      {
        name: "errors of the main entry",
        resolveId: (id: string) => (id === "@todoku/protocol" ? { id: "./index.js", external: true } : undefined),
      },
    ],
    inputOptions: { resolve: { conditionNames } },
  });
}
