/**
 * The rules of protocol/SPEC.md and the tests that name them: every rule needs a test, and every named rule must be there.
 * A test names rules at the beginning of its title: `test("S9 …")`, `test("S9, S10 …")`. Each golden example is a test too.
 */
import { globSync, readFileSync } from "node:fs";
import path from "node:path";

const RULE = /^\*\*([A-Z]\d+)\.\*\*/gm;
/** A call of `test` with a literal title; what is skipped for good (`test.skip`, `test.todo`) proves nothing. */
const TEST = /\btest\(\s*(["'`])((?:\\.|(?!\1)[^\\])*)\1/g;
const COMMENT_LINE = /^\s*(?:\/\/|\*|\/\*).*$/gm;
const IDS = /^[A-Z]\d{1,2}\b(?:(?:,\s*|\s+and\s+|\s+)[A-Z]\d{1,2}\b)*/;

/** A title that names rules, and where it stands. */
export interface Naming {
  readonly file: string;
  readonly title: string;
  readonly rules: readonly string[];
}

export interface Coverage {
  /** Rules that no test names, in the document's order. */
  readonly untested: readonly string[];
  /** Tests that name a rule which does not exist. */
  readonly unknown: readonly Naming[];
  /** Rule numbers that stand in the document twice. */
  readonly repeated: readonly string[];
}

/** The rule numbers of the document, in its order. */
export function rulesOf(spec: string): readonly string[] {
  return [...spec.matchAll(RULE)].map(([, id = ""]) => id);
}

/** The rules that a title begins with; none for most titles. */
export function rulesIn(title: string): readonly string[] {
  return IDS.exec(title)?.[0].match(/[A-Z]\d+/g) ?? [];
}

/** The titles in a test file that name rules. */
export function namingsIn(file: string, source: string): readonly Naming[] {
  const titles = file.endsWith(".jsonl")
    ? source.split("\n").flatMap((line) => (line === "" ? [] : [(JSON.parse(line) as { name: string }).name]))
    : [...source.replaceAll(COMMENT_LINE, "").matchAll(TEST)].map(([, , title = ""]) => title);
  return titles.map((title) => ({ file, title, rules: rulesIn(title) })).filter(({ rules }) => rules.length > 0);
}

export function compare(rules: readonly string[], namings: readonly Naming[]): Coverage {
  const known = new Set(rules);
  const named = new Set(namings.flatMap((naming) => naming.rules));
  return {
    untested: rules.filter((rule) => !named.has(rule)),
    unknown: namings.filter((naming) => naming.rules.some((rule) => !known.has(rule))),
    repeated: rules.filter((rule, i) => rules.indexOf(rule) !== i),
  };
}

/** Compares the repository's document with its tests; the words are for whoever must mend it. */
export function checkRules(root: string): { ok: boolean; output: string } {
  const rules = rulesOf(readFileSync(path.join(root, "protocol/SPEC.md"), "utf8"));
  const files = globSync(["{protocol,client,server,tests,examples}/**/*.ts", "protocol/golden/*.jsonl"], {
    cwd: root,
    exclude: (file) => file.includes("node_modules") || file.endsWith("dist"),
  });
  const namings = files.flatMap((file) => namingsIn(file, readFileSync(path.join(root, file), "utf8")));
  const { untested, unknown, repeated } = compare(rules, namings);
  const problems = [
    ...(rules.length === 0 ? ["protocol/SPEC.md has no rules"] : []),
    ...(untested.length > 0 ? [`${untested.length} of ${rules.length} rules have no test: ${untested.join(" ")}`] : []),
    ...unknown.map(({ file, title }) => `${file}: ${JSON.stringify(title)} names a rule that protocol/SPEC.md lacks`),
    ...repeated.map((rule) => `protocol/SPEC.md has the rule ${rule} twice`),
  ];
  return { ok: problems.length === 0, output: problems.join("\n") };
}
