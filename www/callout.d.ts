// The types of callout.js.

/** What to subscribe to: a url, or topics. A relative url is taken from the folder that callout.js came from. */
export interface Wanted {
  /** Topics, and prefixes of topics (`rooms/*`; `*` is all of them), 100 at most; `url` then says where callout is, if callout.js did not come from there. */
  topics?: string[];
  /** A stream of callout (`topics/news`, `sse?user=ann`), or with `topics` the folder in which callout is
   *  (`https://example.org/push/`). */
  url?: string;
  /** Whether a page that is loaded again goes on after the last id, which is kept in `sessionStorage`; true. With
   *  false it receives each time what a new stream begins with. */
  resume?: boolean;
  /** Whether the stream stays open while its tab is hidden; false. Without HTTP/2 a browser has six connections to a
   *  server, for all its tabs. So when more than four streams are open, those of hidden tabs are closed, one tab after
   *  the other, until four are left. Where the browser has no Web Locks (they need https or localhost) every hidden
   *  tab closes its stream. Such a stream goes on after its last id when the tab is shown; `state` stays as it was. */
  background?: boolean;
  /** A ticket or a JWT, or a function that fetches one from a page's own server. The function is asked again before the old
   *  one ends and when it was refused, and the stream goes on after its last id. Without it the browser's cookie counts. */
  ticket?: Ticket | (() => Ticket | Promise<Ticket>);
}

/** What shows who subscribes and publishes: a ticket or a JWT, or the answer of `POST /tickets`. */
export type Ticket = string | { ticket: string };

/** "connecting" until it is live for the first time; "offline" instead of "reconnecting" while the browser says that it
 *  is offline. It is tried all the same, at longer intervals: the server may be nearer than the internet. */
export type State = "connecting" | "live" | "reconnecting" | "offline" | "closed";

/** An event of the stream. */
export interface StreamEvent extends Event {
  /** Its name; `type` is the name that the handler was registered for, which may be "*". */
  readonly name: string;
  readonly data: string;
  /** Missing where the event is ephemeral. */
  readonly id?: string;
  /** The topic, where one is followed, or where the server says it, as with several topics and with prefixes. */
  readonly topic?: string;
  /** The data, parsed as JSON. */
  json(): any;
}

/** The state changed: `data` is the new one. */
export interface StateEvent extends Event {
  readonly data: State;
}

/** The answer is no stream: its status is not 200, or it is a page in the place of one. The server is asked again all the
 *  same, until `close`. */
export interface ErrorEvent extends Event {
  readonly status: number;
  /** Why, in the server's words, or what came. */
  readonly data: string;
  /** What to do, in callout's words. */
  readonly hint?: string;
}

export interface Options {
  /** The event's name. */
  event?: string;
  /** The event's id instead of a random one. With null the event has none, which ephemeral topics require, and
   *  nothing is tried again. */
  id?: string | null;
  /** A token, in place of the connection's ticket. */
  token?: string;
  /** How long subscribers wait before they reconnect from now on, in milliseconds. */
  retry?: number;
}

export interface Connection extends EventTarget {
  readonly state: State;

  on(name: "state", handler: (event: StateEvent) => void): void;
  on(name: "error", handler: (event: ErrorEvent) => void): void;
  /** "*" is every event of the stream, whatever its name; "message" are those without a name. "reset" says that
   *  events may be missing before those that follow; no publisher can say so. A published event that is named "state"
   *  is dispatched under "*" alone, so it is never taken for a change of state. */
  on(name: string, handler: (event: StreamEvent) => void): void;
  off(name: string, handler: (event: any) => void): void;

  /** Closes the stream for good, and says goodbye: where the server shows who is there, this user leaves at once. */
  close(): void;

  /** Publishes text, or anything else as JSON, to one topic or to several at once. Tries again for half a minute while
   *  callout does not answer: no answer within ten seconds, or a proxy's 502, 503 or 504. Rejects with the network's
   *  error, with the server's words, its `hint` and `status`, or where the publication is redirected. */
  publish(topic: string | string[], data: unknown, options?: Options): Promise<{ id: string | null; duplicate?: true }>;
}

export function connect(wanted: string | Wanted): Connection;
