import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { VERSION } from "../version.ts";
import { parseArguments } from "./arguments.ts";
import { EXIT } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { commandReference, helpOf } from "./help.ts";
import { Folder } from "./program.ts";

describe("the program", () => {
  test("without a command, with help and with version it tells about itself", async () => {
    using folder = new Folder();
    const overview = await folder.run([]);
    assert.equal(overview.code, 0);
    for (const { name, summary } of COMMANDS) assert.match(overview.out, new RegExp(`  ${name} +`), summary);
    assert.equal((await folder.call(["--help"])).out, overview.out);
    assert.equal((await folder.call(["--version"])).out, `${VERSION}\n`);
    const [first] = COMMANDS;
    assert.ok(first);
    assert.equal((await folder.call(["help", first.name])).out, `${helpOf(first)}\n`);
    assert.equal((await folder.call([first.name, "--help"])).out, `${helpOf(first)}\n`);
  });

  test("an unknown command names the nearest one", async () => {
    using folder = new Folder();
    const { code, out, error } = await folder.call(["chekc"]);
    assert.equal(code, EXIT.usage);
    assert.equal(out, "");
    assert.match(error, /unknown command "chekc"; did you mean check\?/);
    assert.match((await folder.call(["--prot"])).error, /unknown option "--prot"/);
  });

  for (const command of COMMANDS) {
    test(`${command.name}: help, an example that parses, and an unknown option refused`, () => {
      const help = helpOf(command);
      assert.ok(command.examples.length > 0);
      for (const [name, option] of Object.entries(command.options)) {
        assert.ok(help.includes(`--${name}`));
        assert.match(option.help, /\.$/, `the help of --${name} is a sentence`);
      }
      assert.ok(
        help.split("\n").every((line) => line.length <= 120),
        "no line of the help is too long",
      );
      for (const example of command.examples) {
        const [, words = ""] = new RegExp(`todoku ${command.name} ?([^|>]*)`).exec(example) ?? [];
        const shown = words
          .replaceAll(/'[^']*'|"[^"]*"/g, "quoted")
          .split(/\s+/)
          .filter(Boolean);
        assert.doesNotThrow(() => parseArguments(command, shown), example);
      }
      assert.throws(() => parseArguments(command, ["--no-such-option"]), /unknown option --no-such-option/);
    });
  }

  test("the reference holds every command and option, and the exit codes", () => {
    const text = commandReference(COMMANDS);
    for (const { name, options } of COMMANDS) {
      assert.ok(text.includes(`## todoku ${name}`));
      for (const option of Object.keys(options)) assert.ok(text.includes(`\`--${option}`));
    }
    for (const code of Object.values(EXIT)) assert.ok(text.includes(`| ${code} |`));
  });
});
