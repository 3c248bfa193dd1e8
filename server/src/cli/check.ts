import type { Backbone } from "../backbones/contract.ts";
import { createBackbone } from "../backbones/registry.ts";
import { systemClock } from "../clock.ts";
import type { Config, NamespaceConfig } from "../config.ts";
import { ConfigError } from "../config-error.ts";
import { CONFIG_FILE, readConfig } from "../config-file.ts";
import { redact } from "../redact.ts";
import type { Namespace, Namespaces } from "../namespaces/namespace.ts";
import { openNamespaces } from "../namespaces/open.ts";
import { preflight } from "../preflight.ts";
import { formatDuration } from "../units.ts";
import { refuseMore } from "./arguments.ts";
import { CONFIG, EXIT, HELP, type Arguments, type Command, type Terminal } from "./command.ts";
import { paint } from "./paint.ts";

const RIGHTS = ["subscribe", "publish", "history", "presence"] as const;

export const check: Command = {
  name: "check",
  summary: "Check the configuration and every promise in it, and say what each namespace gets.",
  usage: "[--config FILE] [--connect]",
  details:
    "Opens and changes nothing, unless --connect asks for it. Ends with 1 and every problem when something is wrong.",
  options: {
    config: CONFIG,
    connect: { type: "boolean", help: "Open each backbone in use, ask it how it is, and close it again." },
    json: { type: "boolean", help: "Print one JSON object." },
    help: HELP,
  },
  examples: ["todoku check", "todoku check --config production.yaml --connect"],
  run: async (args, terminal) => {
    refuseMore(args, 0);
    try {
      const checked = await checkAll(args, terminal);
      if (args.flag("json")) terminal.out(JSON.stringify({ ok: true, ...asJson(checked) }));
      else for (const line of asText(checked, terminal)) terminal.out(line);
      return EXIT.ok;
    } catch (error) {
      if (!(error instanceof ConfigError && args.flag("json"))) throw error;
      terminal.out(JSON.stringify({ ok: false, problems: error.problems.map(redact) }));
      return EXIT.failed;
    }
  },
};

interface Checked {
  readonly config: Config;
  readonly file: string | undefined;
  readonly namespaces: Namespaces;
  readonly notices: readonly string[];
  readonly connected: readonly string[];
}

/** @throws ConfigError that lists every problem. */
async function checkAll(args: Arguments, { folder, env }: Terminal): Promise<Checked> {
  const named = args.text("config");
  const { config, file } = readConfig({ folder, env, ...(named !== undefined && { file: named }) });
  const problems = [...preflight(config)];
  const backbones = new Map<string, Backbone>();
  for (const [name, settings] of Object.entries(config.backbones)) {
    backbones.set(name, await createBackbone(name, settings, systemClock));
  }
  const namespaces = collect(problems, () => openNamespaces(config, backbones));
  if (!namespaces || problems.length > 0) throw new ConfigError(problems);
  const used = new Set(Object.values(config.namespaces).flatMap((rules) => Object.values(facetsOf(rules))));
  const connected = args.flag("connect") ? [...used] : [];
  for (const name of connected) await reach(name, backbones.get(name), problems);
  if (problems.length > 0) throw new ConfigError(problems);
  return { config, file, namespaces, notices: noticesOf(config), connected };
}

function collect<T>(problems: string[], work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.push(...error.problems);
    return undefined;
  }
}

async function reach(name: string, backbone: Backbone | undefined, problems: string[]): Promise<void> {
  try {
    await backbone?.open();
    await backbone?.check();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    problems.push(why.startsWith(`[${name}]`) ? why : `[${name}] cannot be opened (${why})`);
  } finally {
    await backbone?.close().catch(() => {});
  }
}

/** What is no mistake but may surprise. */
function noticesOf({ auth, http, namespaces }: Config): string[] {
  const notices: string[] = [];
  if (auth.insecure) notices.push("auth.insecure: anyone who reaches the server may connect");
  else if (!auth.jwt) notices.push("no client can connect: set auth.jwt (or, to try things out, auth.insecure)");
  if (!auth.insecure && auth.api_keys.length === 0) notices.push("the HTTP API is closed: set auth.api_keys");
  if (Object.keys(namespaces).length === 0) notices.push("there is no channel: add a namespace under namespaces");
  const local = http.host === "localhost" || http.host.startsWith("127.") || http.host === "::1";
  if (!local && !http.tls)
    notices.push(`http.host is ${http.host} without http.tls: let a proxy in front of it speak TLS`);
  return notices;
}

/** The backbones by facet; a namespace that keeps nothing has a bus only. */
function facetsOf(rules: NamespaceConfig): Readonly<Record<string, string>> {
  const keeps = rules.delivery !== "at-most-once" || rules.retention !== undefined;
  const facets = keeps ? (["bus", "log", "cursors"] as const) : (["bus"] as const);
  return Object.fromEntries(facets.map((facet) => [facet, rules[facet] ?? rules.backbone ?? ""]));
}

function asJson({ config, file, namespaces, notices, connected }: Checked): Record<string, unknown> {
  return {
    file,
    namespaces: [...namespaces].map(({ name, delivery, rules, log, retention, dedupeMs, messageBytes }) => ({
      name,
      delivery,
      backbones: Object.fromEntries(
        Object.entries(facetsOf(rules)).map(([facet, backbone]) => [
          facet,
          { name: backbone, type: config.backbones[backbone]?.type },
        ]),
      ),
      ...(log && {
        retention: { age_ms: retention.ageMs, messages: retention.messages, bytes: retention.bytes },
        dedupe_ms: dedupeMs,
      }),
      message_bytes: messageBytes,
      may: Object.fromEntries(RIGHTS.map((right) => [right, rules[right]])),
    })),
    notices,
    ...(connected.length > 0 && { connected }),
  };
}

function asText({ config, file, namespaces, notices, connected }: Checked, { color }: Terminal): string[] {
  const { bold, dim, green, yellow } = paint(color);
  return [
    `${green("ok")} ${file ?? `no ${CONFIG_FILE} in this folder: these are the defaults and the environment`}`,
    ...[...namespaces].flatMap((namespace) => {
      const { name, delivery, rules } = namespace;
      const row = (what: string, value: string): string => `  ${dim(what.padEnd(10))} ${value}`;
      return [
        "",
        `${bold(name === "" ? '""' : `${name}:`)}  ${delivery}`,
        row("backbone", backbonesOf(rules, config)),
        row("kept", keptOf(namespace)),
        ...(namespace.log ? [row("dedupe", dedupeOf(namespace))] : []),
        row("who may", RIGHTS.map((right) => `${right}: ${rules[right]}`).join(" · ")),
      ];
    }),
    ...(connected.length > 0 ? ["", ...connected.map((name) => `${green("reached")} ${name}`)] : []),
    ...(notices.length > 0 ? ["", ...notices.map((notice) => `${yellow("notice")} ${notice}`)] : []),
  ];
}

function backbonesOf(rules: NamespaceConfig, { backbones }: Config): string {
  const facets = Object.entries(facetsOf(rules));
  const label = (name: string): string => `${name} (${backbones[name]?.type ?? "?"})`;
  const [[, first] = ["", ""]] = facets;
  if (facets.every(([, name]) => name === first)) return label(first);
  return facets.map(([facet, name]) => `${facet}: ${label(name)}`).join(" · ");
}

function keptOf({ log, retention: { ageMs, messages, bytes } }: Namespace): string {
  if (!log) return "nothing: who is not subscribed at the moment misses the message";
  const limits = [
    ...(ageMs === undefined ? [] : [formatDuration(ageMs)]),
    ...(messages === undefined ? [] : [`${messages.toLocaleString("en")} messages per channel`]),
    ...(bytes === undefined ? [] : [`${bytes.toLocaleString("en")} bytes per channel`]),
  ];
  return limits.length === 0 ? "everything, without limit" : limits.join(", ");
}

function dedupeOf({ dedupeMs }: Namespace): string {
  return dedupeMs === 0
    ? "off: a repeated publish is stored again"
    : `a publish repeated with its key within ${formatDuration(dedupeMs)} is stored once`;
}
