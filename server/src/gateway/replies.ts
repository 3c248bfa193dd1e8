/** Replies and pushes that hold publications: their data is JSON text already and goes in as it is. */
import { publicationText, type ConnectResult } from "@todoku/protocol";
import type { Range } from "../backbones/contract.ts";
import type { Published } from "../namespaces/publisher.ts";
import { publicationFields, type Encoding } from "./shared-publication.ts";
import type { Prepared } from "./subscribe.ts";

export function subscribeReply(id: number | undefined, prepared: Prepared): string {
  return `{"id":${id},"subscribe":${subscribeText(prepared)}}`;
}

export function subscribePush(channel: string, prepared: Prepared): string {
  return `{"push":{"channel":${JSON.stringify(channel)},"subscribe":${subscribeText(prepared)}}}`;
}

/** With the server-side subscriptions in `subs`. */
export function connectReply(id: number | undefined, result: ConnectResult, prepared: readonly Prepared[]): string {
  const subs = prepared.map((one) => `${JSON.stringify(one.subscription.channel)}:${subscribeText(one)}`);
  const text = JSON.stringify(result);
  return `{"id":${id},"connect":${subs.length === 0 ? text : `${text.slice(0, -1)},"subs":{${subs.join(",")}}}`}}`;
}

export function publishReply(id: number | undefined, { offset, epoch, duplicate }: Published): string {
  // What is undefined is left out.
  return JSON.stringify({ id, publish: { offset, epoch, duplicate: duplicate === true ? true : undefined } });
}

export function historyReply(id: number | undefined, { messages, epoch, head }: Range, encoding: Encoding): string {
  const publications = messages.map((message) =>
    publicationText(message.data, publicationFields(message, encoding, message.offset)),
  );
  return `{"id":${id},"history":${withPublications(JSON.stringify({ epoch, offset: head }), publications.join(","))}}`;
}

function subscribeText({ result, publications, subscription }: Prepared): string {
  const { encoding } = subscription.options;
  const text = JSON.stringify(result);
  return publications.list.length === 0 ? text : withPublications(text, publications.text(encoding));
}

function withPublications(text: string, publications: string): string {
  const list = `"publications":[${publications}]`;
  return text === "{}" ? `{${list}}` : `${text.slice(0, -1)},${list}}`;
}
