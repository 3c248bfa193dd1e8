import path from "node:path";
import type { Restored } from "../backbones/embedded/restored.ts";
import { systemClock } from "../clock.ts";
import type { Config } from "../config.ts";
import { ConfigError } from "../config-error.ts";
import { CONFIG_FILE, parseConfig, readConfig } from "../config-file.ts";
import { DEV_CONFIG } from "../dev-config.ts";
import { CONFIG, EXIT, HELP, JSON_LINES, UsageError, type Arguments, type Command, type Terminal } from "./command.ts";
import { paint } from "./paint.ts";

export const restored: Command = {
  name: "restored",
  summary: "Say that a data folder was brought back from a backup, before a server opens it.",
  usage: "[BACKBONE…] [--config FILE] | --dev",
  details:
    "Begins a new epoch in the log of each `embedded` backbone, or of those that are named. Whoever had received what the backup does " +
    "not hold is then told of a gap; nobody else notices. Without it, messages published later get offsets that were used before, and some " +
    "subscribers pass over them. The server must not run. Calling it once too often does no harm; once a server has published into the " +
    "folder it is too late: bring it back again.",
  options: {
    config: CONFIG,
    dev: { type: "boolean", help: "The folder of `todoku serve --dev`." },
    json: JSON_LINES,
    help: HELP,
  },
  examples: ["todoku restored", "todoku restored --config production.yaml", "todoku restored --dev"],
  run: async (args, terminal) => {
    const folders = foldersOf(configure(args, terminal), args.words, terminal);
    const { beginAnew, mustHoldLog } = await import("../backbones/embedded/restored.ts");
    // What is amiss with one of them is said before any is changed.
    for (const { name, folder } of folders) mustHoldLog(name, folder);
    for (const found of folders) {
      const begun = await beginAnew(found.name, found.folder, systemClock);
      terminal.out(terminal.human ? lineOf(found, begun, terminal) : JSON.stringify(asJson(found, begun)));
    }
    return EXIT.ok;
  },
};

/** The data folder of a backbone. */
interface DataFolder {
  readonly name: string;
  /** As it is configured. */
  readonly path: string;
  readonly folder: string;
}

function configure(args: Arguments, { folder, env }: Terminal): Config {
  const file = args.text("config");
  if (args.flag("dev")) {
    if (file !== undefined) throw new UsageError("--dev brings its own configuration: leave out --config");
    return parseConfig(DEV_CONFIG, env);
  }
  const found = readConfig({ folder, env, ...(file !== undefined && { file }) });
  if (found.file === undefined)
    throw new ConfigError([`there is no ${CONFIG_FILE} in this folder. Name one with --config, or take --dev`]);
  return found.config;
}

/** @throws UsageError for a name that is no embedded backbone's, ConfigError where there is none. */
function foldersOf({ backbones }: Config, names: readonly string[], { folder }: Terminal): readonly DataFolder[] {
  const all = Object.entries(backbones).flatMap(([name, settings]) =>
    settings.type === "embedded" ? [{ name, path: settings.path, folder: path.resolve(folder, settings.path) }] : [],
  );
  if (all.length === 0)
    throw new ConfigError([
      "the configuration has no backbone of type embedded: other stores are brought back elsewhere",
    ]);
  for (const name of names) {
    if (all.some((known) => known.name === name)) continue;
    const known = all.map((one) => one.name).join(", ");
    throw new UsageError(`${JSON.stringify(name)} is no backbone of type embedded; there is ${known}`);
  }
  return names.length === 0 ? all : all.filter(({ name }) => names.includes(name));
}

function asJson({ name, path: configured }: DataFolder, { epoch, older, channels }: Restored): Record<string, unknown> {
  return { backbone: name, path: configured, epoch, forks_from: older, channels };
}

function lineOf({ name, path: configured }: DataFolder, begun: Restored, { color }: Terminal): string {
  const { bold, dim } = paint(color);
  const { epoch, older, channels } = begun;
  const shared = `${channels.toLocaleString("en")} ${channels === 1 ? "channel goes" : "channels go"} on`;
  return `${bold(name)} in ${configured}: ${shared} in epoch ${epoch} ${dim(`from ${older}`)}`;
}
