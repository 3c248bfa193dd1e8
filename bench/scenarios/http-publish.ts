/** Backends that publish over HTTP. */
import { centrifugoHttp } from "../http/centrifugo.ts";
import { httpPublishesOf, nameOf } from "../http/http-publishes.ts";
import { floorHttp, todokuHttp } from "../http/todoku.ts";
import { DATA_BYTES } from "../load-data.ts";
import type { Scenario } from "../scenario.ts";

const CONNECTIONS = 32;
const BATCH = 100;
const SERVERS = [todokuHttp, centrifugoHttp, floorHttp];

export const httpPublish: Scenario = {
  name: "http-publish",
  title: "Publishing over HTTP",
  about:
    `${CONNECTIONS} keep-alive connections publish ${DATA_BYTES} bytes of data to a channel that keeps nothing, with an API key, each as soon as it was answered: ` +
    `one message in a request (\`POST /api/publish\`), or ${BATCH} (\`POST /api/batch\`). The figure is publishes per second of the server's processor time. ` +
    "Behind the measurement a subscriber checks that what is published arrives.",
  unit: "publishes per CPU-second",
  better: "more",
  expectedSeconds: 17,
  contenders: [1, BATCH].flatMap((batch) =>
    SERVERS.map((server) =>
      httpPublishesOf(server, { connections: CONNECTIONS, batch, warmUpSeconds: 1, measuredSeconds: 1 }),
    ),
  ),
  controls: [
    { title: "of Centrifugo", contenders: [nameOf(centrifugoHttp, 1)] },
    {
      title: "of Centrifugo's batches",
      contenders: [nameOf(centrifugoHttp, BATCH)],
      compared: [nameOf(todokuHttp, BATCH), nameOf(floorHttp, BATCH)],
    },
    { title: "of the floor", contenders: [nameOf(floorHttp, 1)], compared: [nameOf(todokuHttp, 1)] },
  ],
  goals: [
    { contender: nameOf(todokuHttp, 1), load: "", control: "of Centrifugo", bound: 0.8 },
    { contender: nameOf(todokuHttp, BATCH), load: "", control: "of Centrifugo", bound: 5 },
  ],
};
