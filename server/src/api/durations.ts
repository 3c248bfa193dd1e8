/** How long things take, by namespace, as a histogram that costs an addition per observation: there is one with each publish. */
import { Histogram, type MetricType, type Registry } from "prom-client";

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** prom-client's code has a name where its types have a number. */
const HISTOGRAM = "histogram" as unknown as MetricType;

/** Those of one namespace. */
export class Durations {
  /** One for each bound, and for what takes longer than all. */
  readonly #counts: number[] = Array.from({ length: SECONDS.length + 1 }, () => 0);
  #sum = 0;

  observe(ms: number): void {
    const seconds = ms / 1000;
    let bucket = 0;
    while (seconds > (SECONDS[bucket] ?? Number.POSITIVE_INFINITY)) bucket++;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#sum += seconds;
  }

  /** As Prometheus has them: each bucket holds those below it as well. */
  samples(name: string, namespace: string): Sample[] {
    let count = 0;
    const buckets = this.#counts.map((own, i) => {
      count += own;
      return { metricName: `${name}_bucket`, labels: { le: SECONDS[i] ?? "+Inf", namespace }, value: count };
    });
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels: { namespace }, value: this.#sum },
      { metricName: `${name}_count`, labels: { namespace }, value: count },
    ];
  }
}

interface Sample {
  readonly metricName: string;
  readonly labels: { readonly le?: number | string; readonly namespace: string };
  readonly value: number;
}

type Snapshot = Awaited<ReturnType<Histogram<"le" | "namespace">["get"]>>;

/** prom-client's own histogram looks its labels up with each observation. */
export class DurationHistogram extends Histogram<"le" | "namespace"> {
  readonly #about: { readonly name: string; readonly help: string };
  readonly #byNamespace = new Map<string, Durations>();

  constructor(name: string, help: string, registry: Registry) {
    super({ name, help, labelNames: ["namespace"], registers: [registry] });
    this.#about = { name, help };
  }

  of(namespace: string): Durations {
    let found = this.#byNamespace.get(namespace);
    if (!found) this.#byNamespace.set(namespace, (found = new Durations()));
    return found;
  }

  /** Data and nothing else, as prom-client's own: processes send it to each other. Its type asks for a function as well. */
  override async get(): Promise<Snapshot> {
    const { name, help } = this.#about;
    const values = [...this.#byNamespace].flatMap(([namespace, durations]) => durations.samples(name, namespace));
    const snapshot: Omit<Snapshot, "collect"> = { name, help, type: HISTOGRAM, aggregator: "sum", values };
    return snapshot as Snapshot;
  }

  /** What prom-client makes the text format of, where a metric has it. */
  getForPromString(): Promise<Snapshot> {
    return this.get();
  }
}
