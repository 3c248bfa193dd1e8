/**
 * Channel names: `namespace:rest`, or a bare name in the namespace `""`.
 *
 * Some of the allowed characters mean something to a broker (`.` to NATS, `/`, `+` and `#` to MQTT). A backbone encodes
 * them; those that are wildcards or separators nearly everywhere are not allowed at all.
 */

/** Longest channel name in bytes; every allowed character has one. */
export const CHANNEL_BYTES = 255;

const CHANNEL = /^[A-Za-z0-9_\-.:/#@=+~!,$|^;()]+$/;
const NAMESPACE = /^[a-z][a-z0-9_-]*$/;

/** The part before the first colon; `""` without a colon. */
export function namespaceOf(channel: string): string {
  const colon = channel.indexOf(":");
  return colon === -1 ? "" : channel.slice(0, colon);
}

/** What is wrong with a channel name, in words that follow "channel"; undefined for a valid one. */
export function checkChannel(channel: string): string | undefined {
  if (channel === "") return "is empty";
  if (channel.length > CHANNEL_BYTES) return `is longer than ${CHANNEL_BYTES} bytes`;
  if (!CHANNEL.test(channel)) return "has a character other than A-Z a-z 0-9 _ - . : / # @ = + ~ ! , $ | ^ ; ( )";
  if (channel.startsWith("$")) return "begins with $, which is kept for the platform";
  const namespace = namespaceOf(channel);
  if (!channel.includes(":")) return undefined;
  if (!NAMESPACE.test(namespace)) return "has a namespace that is not a-z followed by a-z 0-9 _ -";
  if (channel.length === namespace.length + 1) return "has nothing after its namespace";
  return undefined;
}
