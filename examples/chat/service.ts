/** The chat's servers: gateways on one backbone, behind one door. */
import { startGateway, type ExampleGateway } from "../gateway.ts";
import { startBalancer } from "../balancer.ts";
import { configOf, BACKBONES, type Backbone } from "./configs.ts";

export interface ChatService {
  /** The balancer's. */
  readonly url: string;
  readonly gateways: readonly ExampleGateway[];
  close(): Promise<void>;
}

/** `where` as in `configOf`; `port` is the balancer's, 0 takes a free one. */
export async function startChatService(backbone: Backbone, where: string, port = 0): Promise<ChatService> {
  const config = configOf(backbone, where);
  const gateways = await Promise.all(Array.from({ length: BACKBONES[backbone].gateways }, () => startGateway(config)));
  const balancer = await startBalancer(
    gateways.map(({ port: own }) => own),
    port,
  );
  return {
    url: balancer.url,
    gateways,
    close: async () => {
      await Promise.all(gateways.map((gateway) => gateway.close()));
      balancer.close();
    },
  };
}
