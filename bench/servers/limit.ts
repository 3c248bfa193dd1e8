/** The limit: the same job in C, where hardly anything but the kernel's work is left. */
import path from "node:path";
import { centrifugal } from "../../server/src/load/dialect.ts";
import { build, programOf, type Recipe } from "../built.ts";
import { ContenderProcess } from "../contender-process.ts";
import type { Server } from "./server.ts";

const SOURCE = path.join(import.meta.dirname, "..", "peers", "limit.c");

const RECIPE: Recipe = {
  name: "limit",
  source: SOURCE,
  compiler: "cc",
  args: (target) => ["-O2", "-o", target, SOURCE],
};

export const limit: Server = {
  name: "limit: C, epoll",
  prepare: async () => (process.platform === "linux" ? build(RECIPE) : "it is written for Linux"),
  start: async (port) => new ContenderProcess(programOf(RECIPE), [String(port)]),
  dialect: async () => centrifugal({}),
};
