/** A WebSocket that lets one see what crosses it, and can lose what a bad network would lose. */

export interface Frame {
  readonly direction: "sent" | "received" | "withheld";
  /** One line of JSON. */
  readonly line: string;
}

export interface WireTap {
  readonly WebSocket: typeof WebSocket;
  /** While true, acknowledgements do not leave this tab, as if the network had swallowed them. */
  loseAcks: boolean;
}

export function tapWire(heard: (frame: Frame) => void): WireTap {
  const tap = {
    loseAcks: false,
    WebSocket: class extends WebSocket {
      constructor(url: string | URL, protocols?: string | string[]) {
        super(url, protocols);
        this.addEventListener("message", ({ data }: MessageEvent<string>) => {
          for (const line of data.split("\n")) heard({ direction: "received", line });
        });
      }

      override send(data: string): void {
        const kept: string[] = [];
        for (const line of data.split("\n")) {
          const withheld = tap.loseAcks && isAck(line);
          if (!withheld) kept.push(line);
          heard({ direction: withheld ? "withheld" : "sent", line });
        }
        if (kept.length > 0) super.send(kept.join("\n"));
      }
    },
  };
  return tap;
}

function isAck(line: string): boolean {
  try {
    return "ack" in (JSON.parse(line) as object);
  } catch {
    return false;
  }
}
