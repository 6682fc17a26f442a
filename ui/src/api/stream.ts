// A server-sent stream that comes back by itself, also after answers that make EventSource give up.

export type StreamState = 'connecting' | 'open' | 'waiting' | 'ended';

export interface StreamOptions {
  /** Address to open; asked anew at each try, so that it can say where to go on. */
  url: () => string;
  onMessage: (data: string, id: string) => void;
  onState: (state: StreamState) => void;
  /** Whether the server may end the stream for good with an event named "end". */
  ends?: boolean;
}

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;
/** A browser has six connections to a host for all its tabs: those that nobody sees give theirs back after a moment. */
const HIDDEN_MS = 10_000;

/** Opens the stream; the returned function closes it. */
export function openStream(options: StreamOptions): () => void {
  let source: EventSource | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let wait = FIRST_WAIT_MS;
  let closed = false;
  let parked = false;
  let hiding: ReturnType<typeof setTimeout> | undefined;

  function again(): void {
    source?.close();
    source = null;
    if (closed || parked) return;
    options.onState('waiting');
    timer = setTimeout(connect, wait);
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  }

  function connect(): void {
    options.onState('connecting');
    const opened = new EventSource(options.url(), { withCredentials: true });
    source = opened;
    opened.onopen = () => {
      wait = FIRST_WAIT_MS;
      options.onState('open');
    };
    opened.onmessage = (event: MessageEvent<string>) => options.onMessage(event.data, event.lastEventId);
    // EventSource would come back by itself only to the same address, and not at all after an HTTP error
    opened.onerror = again;
    if (options.ends) {
      opened.addEventListener('end', () => {
        closed = true;
        opened.close();
        options.onState('ended');
      });
    }
  }

  function park(): void {
    parked = true;
    clearTimeout(timer);
    source?.close();
    source = null;
    if (!closed) options.onState('waiting');
  }

  function onVisibility(): void {
    clearTimeout(hiding);
    if (document.hidden) {
      hiding = setTimeout(park, HIDDEN_MS);
    } else if (parked) {
      parked = false;
      if (!closed) connect();
    }
  }

  document.addEventListener('visibilitychange', onVisibility);
  connect();
  return () => {
    closed = true;
    document.removeEventListener('visibilitychange', onVisibility);
    clearTimeout(timer);
    clearTimeout(hiding);
    source?.close();
  };
}
