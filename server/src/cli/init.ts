import { randomBytes } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { CONFIG_FILE } from "../config-file.ts";
import { refuseMore } from "./arguments.ts";
import { CommandError, CONFIG, EXIT, HELP, UsageError, type Command } from "./command.ts";
import { paint } from "./paint.ts";
import { BACKBONES_TO_START_WITH, startingConfig, type StartingBackbone } from "./starting-config.ts";

export const init: Command = {
  name: "init",
  summary: "Write a commented todoku.yaml to begin with.",
  usage: "[--production] [--backbone TYPE] [--force]",
  details: "The file holds fresh secrets, is readable by you only, and passes `todoku check` as it is.",
  options: {
    production: {
      type: "boolean",
      help: "For a server that others reach: all addresses, an internal listener for API and metrics, insecure settings refused.",
    },
    backbone: {
      type: "string",
      value: "TYPE",
      help: "embedded (default): messages are kept on disk, all three guarantees. memory: nothing to clean up, at-most-once only.",
    },
    config: { ...CONFIG, help: "File to write. Default: todoku.yaml in this folder." },
    force: { type: "boolean", short: "f", help: "Replace a file that is there." },
    help: HELP,
  },
  examples: ["todoku init", "todoku init --production --config /etc/todoku.yaml"],
  run: async (args, { folder, color, out }) => {
    refuseMore(args, 0);
    const name = args.text("config") ?? CONFIG_FILE;
    const file = path.resolve(folder, name);
    const backbone = backboneOf(args.text("backbone") ?? "embedded");
    const text = startingConfig({
      backbone,
      production: args.flag("production"),
      jwtSecret: randomBytes(32).toString("base64url"),
      apiKey: randomBytes(24).toString("base64url"),
    });
    writeNew(file, text, name, args.flag("force"));
    const { bold, dim } = paint(color);
    const option = name === CONFIG_FILE ? "" : ` --config ${name}`;
    for (const line of [
      `wrote ${bold(name)}; it holds secrets: keep it out of version control`,
      `${dim("look at it  ")} todoku check${option}`,
      `${dim("run it      ")} todoku serve${option}`,
      `${dim("listen      ")} todoku subscribe chat:42`,
      `${dim("publish     ")} todoku publish chat:42 '{"text":"hello"}'`,
    ])
      out(line);
    return EXIT.ok;
  },
};

/** A file that is replaced is made anew, so that nobody else may read it. */
function writeNew(file: string, text: string, name: string, replace: boolean): void {
  try {
    if (replace) rmSync(file, { force: true });
    writeFileSync(file, text, { mode: 0o600, flag: "wx" });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    const message =
      code === "EEXIST"
        ? `${name} is there already. Replace it with --force, or write another with --config FILE`
        : `cannot write ${name} (${code}). Write it somewhere else with --config FILE`;
    throw new CommandError(EXIT.failed, message, { cause: error });
  }
}

function backboneOf(text: string): StartingBackbone {
  const known = BACKBONES_TO_START_WITH.find((type) => type === text);
  if (known === undefined)
    throw new UsageError(`--backbone takes ${BACKBONES_TO_START_WITH.join(" or ")}, not ${JSON.stringify(text)}`);
  return known;
}
