import { stringify } from "yaml";
import { configJsonSchema } from "../config-json-schema.ts";
import { CONFIG_FILE, readConfig } from "../config-file.ts";
import { refuseMore } from "./arguments.ts";
import { CONFIG, EXIT, HELP, UsageError, type Command } from "./command.ts";
import { configReference } from "./config-reference.ts";
import { withDefaults, withoutSecrets } from "./effective-config.ts";

export const config: Command = {
  name: "config",
  summary: "Print the configuration as it takes effect, its reference, or its JSON Schema.",
  usage: "[docs] [--schema] [--json] [--config FILE]",
  details:
    "Without a word: every key with its value, after file, environment and defaults; secrets are hidden. " +
    "`docs` prints the reference in Markdown. " +
    "With the schema editors complete and check todoku.yaml: write it to a file and begin todoku.yaml with " +
    "`# yaml-language-server: $schema=todoku.schema.json`.",
  options: {
    config: CONFIG,
    schema: { type: "boolean", help: "Print the JSON Schema of todoku.yaml." },
    json: { type: "boolean", help: "Print the configuration as JSON instead of YAML." },
    help: HELP,
  },
  examples: ["todoku config", "todoku config docs > config.md", "todoku config --schema > todoku.schema.json"],
  run: async (args, { env, folder, out, error }) => {
    const [what] = args.words;
    refuseMore(args, 1);
    if (what !== undefined && what !== "docs")
      throw new UsageError(`config prints \`docs\` or, without a word, the configuration; not ${JSON.stringify(what)}`);
    if (args.flag("schema")) out(JSON.stringify(configJsonSchema(), null, 2));
    else if (what === "docs") out(configReference());
    else {
      const named = args.text("config");
      const { input, file } = readConfig({ folder, env, ...(named !== undefined && { file: named }) });
      if (file === undefined) error(`no ${CONFIG_FILE} in this folder: these are the defaults and the environment`);
      const shown = withoutSecrets(withDefaults(input));
      out(args.flag("json") ? JSON.stringify(shown, null, 2) : stringify(shown, { lineWidth: 0 }).trimEnd());
    }
    return EXIT.ok;
  },
};
