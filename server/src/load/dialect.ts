/** How a server is spoken to by the load generator: what a client says first, and where a message carries its data. */

/** Something that is said, and what the answer to it contains. */
export interface Step {
  /** A text frame; absent: the server speaks first. */
  readonly say?: string;
  readonly expect: string;
}

export interface Answer {
  /** A text frame; absent: nothing is said. */
  readonly say?: string;
}

export interface Incoming {
  readonly channel: string;
  readonly data: unknown;
}

export interface Dialect {
  readonly path: string;
  /** What a client says to subscribe to the channels, as the `i`-th connection. */
  greeting(channels: readonly string[], i: number): readonly Step[];
  /** Contained in an answer that refuses. */
  readonly refusal: string;
  /** The message in one line of a text frame; undefined for what is none. */
  read(line: string): Incoming | undefined;
  /** What is done about a line that is no message, such as a ping; undefined when nobody expects it. */
  answer?(line: string): Answer | undefined;
}

interface Push {
  readonly push?: { readonly channel?: string; readonly pub?: { readonly data?: unknown; readonly offset?: number } };
}

/** The protocol of todoku and of Centrifugo, as JSON. */
export function centrifugal(connect: object, options: { offsets?: boolean } = {}): Dialect {
  return {
    path: "/connection/websocket",
    refusal: '"error"',
    greeting: (channels) => {
      const commands = [
        { id: 1, connect },
        ...channels.map((channel, i) => ({ id: i + 2, subscribe: { channel } })),
      ].map((command) => JSON.stringify(command));
      return [{ say: commands.join("\n"), expect: `"id":${channels.length + 1},` }];
    },
    read: (line) => {
      const { channel, pub } = (JSON.parse(line) as Push).push ?? {};
      if (channel === undefined || pub === undefined) return undefined;
      // A row that claims positions must have them.
      return { channel, data: options.offsets && pub.offset === undefined ? undefined : pub.data };
    },
    answer: (line) => (line === "{}" ? { say: "{}" } : undefined),
  };
}
