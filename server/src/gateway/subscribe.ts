/** How a subscription comes to be and ends: who may, where it starts, what the reply says. */
import {
  ERRORS,
  TodokuError,
  UNSUBSCRIBES,
  inEpoch,
  type ClientInfo,
  type Json,
  type Position,
  type Start,
  type SubscribeRequest,
  type SubscribeResult,
} from "@todoku/protocol";
import type { CursorKey } from "../backbones/contract.ts";
import type { Namespace } from "../namespaces/namespace.ts";
import { maySubscribe } from "./access.ts";
import { STILL_OPEN, type DurableCursor } from "./durable-cursor.ts";
import type { Feed } from "./feed.ts";
import type { Session } from "./session.ts";
import { SharedPublications } from "./shared-publication.ts";
import { Subscription } from "./subscription.ts";

/** After a subscription token's expiry the client has this long to refresh it. */
const EXPIRY_GRACE_MS = 25_000;
/** The bit in a subscribe's `flag` with which a client asks for error 112 in place of `recovered: false`. */
const REFUSE_UNRECOVERED = 2;
const DEFAULT_IN_FLIGHT = 100;
const MOST_IN_FLIGHT = 10_000;
const NOTHING = new SharedPublications([]);

/** What was decided about a subscription before it is made. */
export interface Grant {
  readonly info?: Json;
  readonly data?: Json;
  /** Seconds since 1970. */
  readonly expireAt?: number;
  readonly byToken: boolean;
  readonly serverSide: boolean;
}

/** A subscription that is ready: send the reply, then call `begin`. */
export interface Prepared {
  readonly result: SubscribeResult;
  /** Recovered publications that belong in the reply. */
  readonly publications: SharedPublications;
  readonly subscription: Subscription;
  /**
   * Starts delivery, or tells at once that another connection took the durable subscription over meanwhile. Gives
   * everything back if the connection has ended.
   */
  begin(): void;
  /** Gives everything back instead. */
  abandon(): void;
}

/** Whether this connection may subscribe, and with what. @throws TodokuError 103, 109 and what hooks throw. */
export async function authorise(session: Session, namespace: Namespace, request: SubscribeRequest): Promise<Grant> {
  const { authenticator, hooks } = session.context;
  const { channel, token } = request;
  if (namespace.queue) throw new TodokuError(ERRORS.notAvailable, `${channel} is a queue: consume from it`);
  const claims = token !== undefined && authenticator ? await authenticator.subscription(token) : undefined;
  if (claims && (claims.user !== session.user || claims.channel !== channel))
    throw new TodokuError(ERRORS.permissionDenied);
  if (!maySubscribe(namespace.rules.subscribe, session.user, claims !== undefined))
    throw new TodokuError(ERRORS.permissionDenied);
  const decision = await hooks.onSubscribe?.(session, channel, request.data);
  const info = decision?.info ?? claims?.info;
  const expireAt = decision?.expireAt ?? claims?.expireAt;
  return {
    byToken: claims !== undefined,
    serverSide: false,
    ...(info !== undefined && { info }),
    ...(decision?.data !== undefined && { data: decision.data }),
    ...(expireAt !== undefined && { expireAt }),
  };
}

/**
 * Attaches to the channel, and waits for the turn to read its log where the client resumes. `prepare` is to follow at once, or the
 * hub's `release`. @throws TodokuError 402.
 */
export async function attach(session: Session, namespace: Namespace, request: SubscribeRequest): Promise<Feed> {
  const feed = await session.context.hub.attach(request.channel, namespace);
  if (request.recover === true && request.start === undefined && request.durable === undefined) {
    const turn = feed.turn(resumedFrom(request));
    if (turn) await turn;
  }
  return feed;
}

/** Finds out where the subscription starts. */
export async function prepare(
  session: Session,
  feed: Feed,
  request: SubscribeRequest,
  grant: Grant,
): Promise<Prepared> {
  const { hub } = session.context;
  const { namespace } = feed;
  const durable = new DurableHold(session, namespace, request);
  try {
    const start = await durable.claim(feed, request);
    const begins = start ?? (await whereToBegin(feed, request));
    return ready(session, feed, request, grant, begins, durable);
  } catch (error) {
    durable.letGo();
    hub.release(feed);
    if (error instanceof TodokuError) throw error;
    session.observer.backboneFailed(namespace, "read", error);
    throw new TodokuError(ERRORS.backboneUnavailable, undefined, { cause: error });
  }
}

/** Ends the subscription; what the next connection must know of it is stored in the background. */
export function endSubscription(session: Session, subscription: Subscription): void {
  const { feed, options } = subscription;
  session.subscriptions.delete(subscription);
  subscription.close();
  session.context.hub.release(feed);
  session.observer.unsubscribed(feed.namespace);
  announce(session, feed, "leave", options.info);
  subscription.saveForLater();
  options.letGo?.();
}

interface Begin {
  /** Absent on channels without a log. */
  readonly position?: Position;
  /** Highest offset that was handed out before, on a durable subscription. */
  readonly sent?: number;
  readonly attempts?: number;
  readonly recovered?: boolean;
  readonly publications?: SharedPublications;
  readonly cursor?: Position;
}

function ready(
  session: Session,
  feed: Feed,
  request: SubscribeRequest,
  grant: Grant,
  begins: Begin,
  durable: DurableHold,
): Prepared {
  const { position, publications = NOTHING } = begins;
  const acked = durable.cursor !== undefined || request.ack === true;
  const extended = session.extended || request.start !== undefined || acked || request.in_flight !== undefined;
  const info: ClientInfo = { ...session.info, ...(grant.info !== undefined && { chan_info: grant.info }) };
  const subscription = new Subscription(feed, session, {
    encoding: extended ? "extended" : "plain",
    joinLeave: feed.namespace.rules.join_leave && request.join_leave === true,
    serverSide: grant.serverSide,
    byToken: grant.byToken,
    info,
    ...(acked && position && { inFlight: Math.min(request.in_flight ?? DEFAULT_IN_FLIGHT, MOST_IN_FLIGHT) }),
    ...(durable.cursor && { durable: durable.cursor, letGo: () => durable.letGo() }),
  });
  durable.subscription = subscription;
  const abandon = (): void => {
    durable.letGo();
    session.context.hub.release(feed);
  };
  return {
    subscription,
    publications,
    result: {
      ...session.ttl(grant.expireAt),
      ...(position && { recoverable: true, positioned: true, epoch: position.epoch, offset: position.offset }),
      ...(begins.recovered !== undefined && { was_recovering: true, recovered: begins.recovered }),
      ...(grant.data !== undefined && { data: grant.data }),
      ...(begins.cursor && { cursor: begins.cursor }),
      ...(extended && feed.forks?.length && { forks: [...feed.forks] }),
    },
    begin: () => {
      // A client that does not read its replies may have been closed over this one.
      if (session.ended) return abandon();
      session.subscriptions.add(subscription);
      session.observer.subscribed(feed.namespace);
      expireAt(session, subscription, grant.expireAt);
      subscription.start(position, begins.sent, begins.attempts);
      announce(session, feed, "join", info);
      if (durable.lost) durable.takenOver();
    },
    abandon,
  };
}

/** Moves the end of a subscription; seconds since 1970. Past it there is some time to refresh. */
export function expireAt(session: Session, subscription: Subscription, seconds: number | undefined): void {
  const ms = seconds === undefined ? undefined : seconds * 1000 - session.clock.now() + EXPIRY_GRACE_MS;
  subscription.expireAfter(ms, () => session.unsubscribe(subscription, UNSUBSCRIBES.expired));
}

async function whereToBegin(feed: Feed, request: SubscribeRequest): Promise<Begin> {
  const head = feed.position;
  if (head === undefined) return {};
  if (request.start !== undefined) return { position: await placeOf(feed, head, request.start) };
  if (request.recover === true) return recover(feed, request);
  return { position: head };
}

async function placeOf(feed: Feed, head: Position, start: Start): Promise<Position> {
  if (start === "new") return head;
  if (start !== "earliest") return presently(feed, start);
  const { epoch, trimmed } = await feed.read({ epoch: head.epoch, offset: 0 }, 1);
  return { epoch, offset: trimmed };
}

/** What a position of an older epoch is called now, if it still means something; else as it is, and a gap is told. */
async function presently(feed: Feed, position: Position): Promise<Position> {
  if (feed.forks === undefined) return position;
  const stretch = await feed.read(position, 1);
  return (stretch.trimmed <= position.offset && inEpoch(position, stretch)) || position;
}

/** The base protocol's recovery: complete, or not at all. What does not fit in the reply follows as pushes. */
async function recover(feed: Feed, request: SubscribeRequest): Promise<Begin> {
  const { flag = 0, ack, durable } = request;
  const from = resumedFrom(request);
  const { offset } = from;
  const stretch = await feed.read(from);
  const position = inEpoch(from, stretch);
  if (!position || stretch.trimmed > offset || offset > stretch.head) {
    if ((flag & REFUSE_UNRECOVERED) !== 0) throw new TodokuError(ERRORS.unrecoverablePosition);
    return { position: { epoch: stretch.epoch, offset: stretch.head }, recovered: false };
  }
  // What is to be acknowledged is pushed, so that it counts as under way.
  if (ack === true || durable !== undefined) return { position, recovered: true };
  const last = stretch.publications.list.at(-1)?.offset ?? offset;
  return { position: { epoch: stretch.epoch, offset: last }, recovered: true, publications: stretch.publications };
}

function resumedFrom({ epoch = "", offset = 0 }: SubscribeRequest): Position {
  return { epoch, offset };
}

/** A durable subscription in the hands of this connection; does nothing where the request names none. */
class DurableHold {
  cursor: DurableCursor | undefined;
  subscription: Subscription | undefined;
  /** Another connection claimed it while this one was still being set up. */
  lost = false;
  readonly #session: Session;
  readonly #namespace: Namespace;
  readonly #key: CursorKey | undefined;

  constructor(session: Session, namespace: Namespace, { channel, durable }: SubscribeRequest) {
    this.#session = session;
    this.#namespace = namespace;
    this.#key = durable === undefined ? undefined : { channel, user: session.user, name: durable };
  }

  /** @throws TodokuError 108 where the namespace keeps no cursors, 402 when they cannot be reached, 404 when a newer claim came. */
  async claim(feed: Feed, request: SubscribeRequest): Promise<Begin | undefined> {
    const { cursors, log } = this.#namespace;
    if (this.#key === undefined) return undefined;
    if (!cursors || !log)
      throw new TodokuError(ERRORS.notAvailable, `${request.channel} keeps no durable subscriptions`);
    const { claimed, cursor } = await this.#claim(cursors, this.#key);
    this.cursor = cursor;
    const known = claimed.cursor;
    if (known) {
      const position = await presently(feed, known.position);
      const renamed = position.epoch !== known.position.epoch;
      // Who was cut off without a word may have been handed everything there was; nobody else can have seen more.
      const [head] = known.sent === STILL_OPEN || renamed ? await log.heads([request.channel]) : [];
      // What was handed out in an older epoch beyond the shared history is gone.
      const sent = head ? Math.min(known.sent, head.offset) : known.sent;
      await cursor.write({ position, sent: STILL_OPEN, attempts: known.attempts });
      return { position, sent, attempts: known.attempts, cursor: position };
    }
    const begins = await whereToBegin(feed, request);
    const position = begins.position ?? { epoch: "", offset: 0 };
    await cursor.write({ position, sent: STILL_OPEN, attempts: 0 });
    return { ...begins, sent: position.offset, cursor: position };
  }

  takenOver(): void {
    this.lost = true;
    if (this.subscription) this.#session.unsubscribe(this.subscription, UNSUBSCRIBES.takenOver);
  }

  letGo(): void {
    if (this.#key) this.#session.context.durables.release(this.#key, this);
  }

  async #claim(
    cursors: NonNullable<Namespace["cursors"]>,
    key: CursorKey,
  ): ReturnType<Session["context"]["durables"]["claim"]> {
    try {
      return await this.#session.context.durables.claim(cursors, key, this);
    } catch (error) {
      if (error instanceof TodokuError) throw error;
      this.#session.observer.backboneFailed(this.#namespace, "claim", error);
      throw new TodokuError(ERRORS.backboneUnavailable, undefined, { cause: error });
    }
  }
}

/** Tells the other subscribers who came or went. */
function announce(session: Session, feed: Feed, what: "join" | "leave", info: ClientInfo): void {
  if (!feed.namespace.rules.join_leave) return;
  feed.namespace.bus
    .publish(feed.channel, { kind: "signal", signal: JSON.stringify({ [what]: { info } }) }, feed.namespace.rules)
    .catch((error: unknown) => session.observer.backboneFailed(feed.namespace, what, error));
}
