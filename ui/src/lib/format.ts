// Numbers, times and addresses as people read them.

export function duration(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  const h = Math.floor(s / 3600);
  const m = Math.floor((s % 3600) / 60);
  if (h > 0) return `${h}h ${m}m ${s % 60}s`;
  if (m > 0) return `${m}m ${s % 60}s`;
  return `${s}s`;
}

export function ago(time: string, now: number): string {
  const seconds = Math.round((now - Date.parse(time)) / 1000);
  if (Number.isNaN(seconds)) return '–';
  if (seconds < 0) return `in ${duration(-seconds).split(' ')[0]}`;
  if (seconds < 5) return 'just now';
  if (seconds < 60) return `${seconds}s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h ago`;
  return `${Math.floor(seconds / 86_400)}d ago`;
}

const stamp = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

export function timestamp(time: string | null | undefined): string {
  return time && !Number.isNaN(Date.parse(time)) ? stamp.format(new Date(time)) : '–';
}

export function clockTime(time: string): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? '' : date.toLocaleTimeString(undefined, { hour12: false });
}

export function cost(usd: number | undefined): string {
  if (usd === undefined) return '–';
  if (usd > 0 && usd < 0.01) return '< $0.01';
  return `$${usd.toFixed(2)}`;
}

export function count(n: number | undefined): string {
  if (n === undefined) return '–';
  if (n < 1000) return String(n);
  if (n < 1_000_000) return `${(n / 1000).toFixed(n < 10_000 ? 1 : 0)}k`;
  return `${(n / 1_000_000).toFixed(1)}M`;
}

export function bytes(n: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = n;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
}

/** owner/name of a repository's address, as far as it has one. */
export function repositoryName(url: string): string {
  const path = url
    .replace(/^[a-z+]+:\/\/[^/]*\//i, '')
    .replace(/^[^/@]+@[^:]+:/, '')
    .replace(/\/+$/, '')
    .replace(/\.git$/, '');
  return path.split('/').filter(Boolean).slice(-2).join('/') || url;
}

/** What a registered repository is called: owner/name, also where a path has more before them. */
export function repositoryLabel(repository: { display_name: string | null; repository_url: string }): string {
  return repositoryName(repository.display_name ?? repository.repository_url);
}

/** The page of a branch, where the repository is on a host that has pages. */
export function branchAddress(repositoryUrl: string, branch: string): string | null {
  if (!/^https?:\/\//.test(repositoryUrl)) return null;
  return `${repositoryUrl.replace(/\.git$/, '')}/tree/${branch.split('/').map(encodeURIComponent).join('/')}`;
}

export function issueAddress(repositoryUrl: string, number: string): string | null {
  return /^https?:\/\//.test(repositoryUrl)
    ? `${repositoryUrl.replace(/\.git$/, '')}/issues/${number}`
    : null;
}

/** An address that may be put into a link: nothing but http and https. */
export function safeLink(url: string | null | undefined): string | null {
  return url && /^https?:\/\//i.test(url) ? url : null;
}

/** The first line of a request, which stands for the order in lists. */
export function title(order: { user_request: string | null; github_issue_number: string | null }): string {
  const line = order.user_request
    ?.split('\n')
    .find((l) => l.trim() !== '')
    ?.trim();
  if (line) return line;
  return order.github_issue_number ? `Issue #${order.github_issue_number}` : 'No request';
}
