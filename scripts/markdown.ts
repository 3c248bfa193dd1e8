/** Pieces of Markdown for the generated pages. */

/** A whole page: a title, where it comes from, and its parts. */
export function generated(title: string, source: string, parts: readonly string[]): string {
  return [`# ${title}`, `<!-- Made from ${source} by \`npm run docs\`; do not edit. -->`, ...parts].join("\n\n") + "\n";
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
