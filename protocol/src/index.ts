export * from "./channel.ts";
export * from "./codec.ts";
export * from "./codes.ts";
export * from "./error.ts";
export * from "./position.ts";
export type * from "./frames.ts";
export * from "./depth.ts";
export * from "./recent-ids.ts";
