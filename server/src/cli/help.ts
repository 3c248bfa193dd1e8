/** The commands described: on the terminal, and in Markdown for docs/reference/cli.md. */
import { VERSION } from "../version.ts";
import { EXIT, EXIT_MEANINGS, type Command, type Option } from "./command.ts";

const WIDTH = 110;
const INDENT = 30;

export function overview(commands: readonly Command[]): string {
  const rows = commands.map(({ name, summary }) => `  ${name.padEnd(12)} ${summary}`);
  const exits = Object.entries(EXIT).map(
    ([name, code]) => `${code} ${EXIT_MEANINGS[name as keyof typeof EXIT_MEANINGS]}`,
  );
  return [
    `todoku ${VERSION}: realtime messages over WebSocket, with a guarantee per channel.`,
    "",
    "Usage: todoku COMMAND [OPTIONS]",
    "",
    ...rows,
    "",
    "`todoku COMMAND --help` shows its options and examples.",
    `Exit codes: ${exits.join(" · ")}.`,
  ].join("\n");
}

export function helpOf(command: Command): string {
  const { summary, details, options, examples } = command;
  const rows = Object.entries(options).flatMap(([name, option]) => {
    const names = `  ${option.short === undefined ? "    " : `-${option.short}, `}${longName(name, option)}`;
    return wrap(option.help, WIDTH - INDENT).map((line, i) => `${(i === 0 ? names : "").padEnd(INDENT)} ${line}`);
  });
  return [
    summary,
    "",
    `Usage: ${usageOf(command)}`,
    ...(details === undefined ? [] : ["", ...wrap(details, WIDTH)]),
    "",
    "Options:",
    ...rows,
    "",
    examples.length === 1 ? "Example:" : "Examples:",
    ...examples.map((example) => `  ${example}`),
  ].join("\n");
}

export function usageOf({ name, usage }: Command): string {
  return `todoku ${name}${usage === "" ? "" : ` ${usage}`}`;
}

/** Every command in Markdown. */
export function commandReference(commands: readonly Command[]): string {
  const exits = Object.entries(EXIT).map(
    ([name, code]) => `| ${code} | ${EXIT_MEANINGS[name as keyof typeof EXIT_MEANINGS]} |`,
  );
  return [
    ...commands.flatMap((command) => {
      const { name, summary, details, options, examples } = command;
      return [
        `## todoku ${name}`,
        "",
        summary,
        "",
        "```",
        usageOf(command),
        "```",
        "",
        ...(details === undefined ? [] : [details.replaceAll("\n", "\n\n"), ""]),
        "| option | what it does |",
        "| --- | --- |",
        ...Object.entries(options).map(
          ([option, row]) =>
            `| \`${longName(option, row)}\`${row.short === undefined ? "" : `, \`-${row.short}\``} | ${row.help.replaceAll("|", "\\|")} |`,
        ),
        "",
        "```sh",
        ...examples,
        "```",
        "",
      ];
    }),
    "## Exit codes",
    "",
    "| code | meaning |",
    "| --- | --- |",
    ...exits,
    "",
  ].join("\n");
}

function longName(name: string, { value }: Option): string {
  return `--${name}${value === undefined ? "" : ` ${value}`}`;
}

/** Breaks a text into lines at its spaces; its own line breaks stay. */
function wrap(text: string, width: number): string[] {
  return text.split("\n").flatMap((paragraph) => {
    const lines: string[] = [];
    for (const word of paragraph.split(" ")) {
      const last = lines.at(-1);
      if (last === undefined || last.length + 1 + word.length > width) lines.push(word);
      else lines[lines.length - 1] = `${last} ${word}`;
    }
    return lines;
  });
}
