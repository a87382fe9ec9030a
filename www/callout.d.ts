// The types of callout.js.

/** What to listen to: a url, or topics. What is relative belongs to the server that callout.js came from. */
export interface Wanted {
  /** Topics, 100 at most; `url` then says where callout is, if it is elsewhere. */
  topics?: string[];
  /** A stream of callout's (`/topics/news`, `/sse?user=ann`), or with `topics` its origin. */
  url?: string;
  /** Whether a page that is loaded again goes on after the last id, kept in `sessionStorage`; true. With
   *  false it sees each time what a new stream shows. */
  resume?: boolean;
}

/** "connecting" until the first time that it is live; "offline" while the browser says that it is. */
export type State = "connecting" | "live" | "reconnecting" | "offline" | "closed";

/** An event of the stream. */
export interface StreamEvent extends Event {
  /** Its name; `type` is the one that was listened to, perhaps "*". */
  readonly name: string;
  readonly data: string;
  /** Missing where the event is only true now. */
  readonly id?: string;
  /** The data, parsed as JSON. */
  json(): any;
}

/** The state changed: `data` is the new one. */
export interface StateEvent extends Event {
  readonly data: State;
}

/** The server answered with another status than 200. It is asked again all the same, until `close`. */
export interface ErrorEvent extends Event {
  readonly status: number;
  /** Why, in the server's words. */
  readonly data: string;
}

export interface Options {
  /** The event's name. */
  event?: string;
  /** An id of one's own instead of a random one. With null there is none, as topics that are only true now
   *  ask for, and nothing is tried again. */
  id?: string | null;
  /** The publish token. */
  token?: string;
  /** How long listeners wait before they reconnect from now on, in milliseconds. */
  retry?: number;
}

export interface Connection extends EventTarget {
  readonly state: State;

  on(name: "state", handler: (event: StateEvent) => void): void;
  on(name: "error", handler: (event: ErrorEvent) => void): void;
  /** Every event of the stream, whatever its name, is "*"; "message" are those without a name. "reset" says
   *  that events may be missing before those that follow. A published event named "state" comes among the
   *  changes of state, but has a `name`. */
  on(name: string, handler: (event: StreamEvent) => void): void;
  off(name: string, handler: (event: any) => void): void;

  /** Gives up the stream, for good. */
  close(): void;

  /** Publishes text, or anything else as JSON. Tries again for half a minute where no answer comes. Rejects
   *  with the network's error, or with the server's words and its `status`. */
  publish(topic: string, data: unknown, options?: Options): Promise<{ id: string | null; duplicate?: true }>;
}

export function connect(wanted: string | Wanted): Connection;
