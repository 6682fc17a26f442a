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

/** Opens the stream; the returned function closes it. */
export function openStream(options: StreamOptions): () => void {
  let source: EventSource | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let wait = FIRST_WAIT_MS;
  let closed = false;

  function again(): void {
    source?.close();
    source = null;
    if (closed) return;
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

  connect();
  return () => {
    closed = true;
    clearTimeout(timer);
    source?.close();
  };
}
