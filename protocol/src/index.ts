export * from "./channel.ts";
export * from "./codec.ts";
export * from "./codes.ts";
export * from "./error.ts";
export type * from "./frames.ts";
export * from "./depth.ts";
