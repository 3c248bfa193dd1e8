/**
 * Which data travels on which channel, as a type: `{ "chat:42": Chat; [ticker: `ticker:${string}`]: Quote }`. The channel's
 * name then gives `data` its type. Without a map any channel carries any JSON.
 */
import type { Json } from "@todoku/protocol";

export type AnyChannel = Record<string, Json>;

export type ChannelOf<Channels> = keyof Channels & string;
