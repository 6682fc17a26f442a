// One request to the gateway, and what its errors say to a person.

/** Mount of the interface that these pages use. */
export const MOUNT = '/api/v1';

export interface FieldError {
  field: string;
  message: string;
}

/** An answer that is none. status 0: nothing answered at all. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly fields: FieldError[] = [],
    readonly retryAfter: number | null = null,
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

/** A list is sent as its words between commas. */
type Query = Record<string, string | number | boolean | readonly string[] | null | undefined>;

interface Options {
  query?: Query;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

export function address(path: string, query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '') search.set(key, String(value));
  }
  const text = search.toString();
  return MOUNT + path + (text ? `?${text}` : '');
}

const STATUS_TEXT: Record<number, string> = {
  0: 'AWO does not answer. Is awo-gateway running?',
  401: 'You are not logged in.',
  403: 'You may not do this.',
  413: 'That is too large: a request may have 1 MiB.',
  429: 'Too many requests. Wait a moment, then try again.',
  503: 'The AWO daemon is away. It is tried again by itself.',
  504: 'AWO took too long to answer.',
};

interface ValidationItem {
  loc?: unknown[];
  msg?: string;
}

/** Reads {"detail": text} and {"detail": [{loc, msg}]}. */
export function errorOf(status: number, body: unknown, retryAfter: string | null = null): ApiError {
  const detail = (body as { detail?: unknown } | null)?.detail;
  const wait = retryAfter !== null && /^\d+$/.test(retryAfter) ? Number(retryAfter) : null;
  if (Array.isArray(detail)) {
    const fields = (detail as ValidationItem[]).map((item) => ({
      field: (item.loc ?? []).slice(1).join('.'),
      message: item.msg ?? 'not valid',
    }));
    const text = fields.map((f) => (f.field ? `${f.field}: ${f.message}` : f.message)).join('; ');
    return new ApiError(status, text.slice(0, 500), fields, wait);
  }
  const text = typeof detail === 'string' && detail ? detail : (STATUS_TEXT[status] ?? `Error ${status}.`);
  return new ApiError(status, text.slice(0, 500), [], wait);
}

const listeners = new Set<() => void>();

/** Calls back whenever the gateway says that nobody is logged in. Returns how to stop that. */
export function onLoggedOut(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function loggedOut(): void {
  listeners.forEach((listener) => listener());
}

export async function request<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json', ...options.headers };
  if (options.body !== undefined) headers['Content-Type'] = 'application/json';
  let response: Response;
  try {
    response = await fetch(address(path, options.query), {
      method,
      headers,
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      credentials: 'same-origin',
      signal: options.signal,
    });
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === 'AbortError') throw cause;
    throw new ApiError(0, STATUS_TEXT[0] ?? '');
  }
  const text = await response.text();
  let body: unknown = null;
  try {
    body = text ? JSON.parse(text) : null;
  } catch {
    if (response.ok) throw new ApiError(response.status, 'AWO answered with something that is not JSON.');
  }
  if (response.ok) return body as T;
  if (response.status === 401) loggedOut();
  throw errorOf(response.status, body, response.headers.get('Retry-After'));
}
