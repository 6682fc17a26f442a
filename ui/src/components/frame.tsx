// What is around every page: where one can go, whether the pages are live, and how they look.
import {
  ChartColumn,
  FolderGit2,
  Keyboard,
  ListChecks,
  LogOut,
  Monitor,
  Moon,
  Radio,
  RefreshCw,
  Server,
  Settings,
  Sun,
} from 'lucide-react';
import { useLayoutEffect, useState, type ReactNode } from 'react';
import { Link, useLocation } from 'wouter';
import { useLiveState } from '../api/live';
import { useLogOut } from '../api/actions';
import { useHealth, useSession } from '../api/queries';
import { listenForKeys, useKeys } from '../lib/keys';
import { useRemembered, type Remembered } from '../lib/storage';
import { setTheme } from '../lib/theme';
import { useNeedingInTitle } from '../lib/title';
import { useNeeding } from '../orders/needing';
import { IconButton } from './button';
import { KeyHelp } from './key-help';

const PLACES = [
  { to: '/agent-work-orders', label: 'Work orders', keys: 'g o', icon: ListChecks },
  { to: '/repositories', label: 'Repositories', keys: 'g r', icon: FolderGit2 },
  { to: '/queue', label: 'Queue', keys: 'g q', icon: Server },
  { to: '/analytics', label: 'Analytics', keys: 'g a', icon: ChartColumn },
  { to: '/settings', label: 'Settings', keys: 'g s', icon: Settings },
];

const NEXT_THEME: Record<Remembered['theme'], Remembered['theme']> = {
  system: 'light',
  light: 'dark',
  dark: 'system',
};
const THEME_ICON = { system: Monitor, light: Sun, dark: Moon };

function LiveMark() {
  // the gateway keeps the stream open while the daemon behind it is away
  const isAway = useHealth().isError;
  const live = useLiveState() === 'open' && !isAway;
  return (
    <span
      role="status"
      data-live={live}
      title={live ? 'Changes are shown as they happen' : 'Not connected: asking every 3 seconds'}
      className={`inline-flex items-center gap-1 text-sm ${live ? 'text-completed' : 'text-waiting'}`}
    >
      {live ? <Radio aria-hidden size={16} /> : <RefreshCw aria-hidden size={16} />}
      <span className="sr-only sm:not-sr-only">{live ? 'Live' : 'Polling'}</span>
    </span>
  );
}

function ServiceState() {
  const health = useHealth();
  if (health.isError) {
    return (
      <p role="alert" className="bg-removed px-4 py-2 text-sm">
        {health.error.message.replace(/\.?$/, '.')} What you see may be old.
      </p>
    );
  }
  if (health.data?.status !== 'degraded') return null;
  return (
    <p role="status" className="border-b border-line bg-card px-4 py-2 text-sm text-waiting">
      AWO is degraded.{' '}
      <Link href="/queue" className="underline">
        See why
      </Link>
    </p>
  );
}

/** How many orders need somebody, on every page. */
function Needing() {
  const needing = useNeeding().length;
  useNeedingInTitle(needing);
  if (needing === 0) return null;
  return (
    <span
      data-needing={needing}
      className="absolute top-0.5 right-1 min-w-5 rounded-full bg-failed px-1.5 text-center text-xs leading-5 font-semibold text-card tabular-nums sm:static sm:ml-1.5"
    >
      {needing}
      <span className="sr-only"> {needing === 1 ? 'needs' : 'need'} you</span>
    </span>
  );
}

/** Who is logged in, and the way out. */
function Account() {
  const session = useSession().data;
  const logOut = useLogOut();
  if (session?.auth !== 'session') return null;
  return (
    <IconButton
      label={`Log out ${session.user ?? ''}`}
      disabled={logOut.isPending}
      onClick={() => logOut.mutate()}
    >
      <LogOut aria-hidden size={18} />
    </IconButton>
  );
}

export function Frame({ children }: { children: ReactNode }) {
  const [location, navigate] = useLocation();
  const { theme } = useRemembered();
  const [help, setHelp] = useState(false);
  const Icon = THEME_ICON[theme];
  const changeTheme = () => setTheme(NEXT_THEME[theme]);

  useLayoutEffect(listenForKeys, []);
  useKeys('Everywhere', [
    { keys: '?', label: 'Show these keys', run: () => setHelp(true) },
    ...PLACES.map((place) => ({ keys: place.keys, label: place.label, run: () => navigate(place.to) })),
    { keys: 't', label: 'Light, dark, or as the system', run: changeTheme },
  ]);

  return (
    <>
      <a
        href="#main"
        className="sr-only focus:not-sr-only focus:fixed focus:top-2 focus:left-2 focus:z-50 focus:rounded focus:bg-card focus:p-2"
      >
        Skip to the content
      </a>
      <header className="sticky top-0 z-20 border-b border-line bg-card">
        <div className="mx-auto flex max-w-screen-2xl flex-wrap items-center gap-x-4 px-3 sm:flex-nowrap sm:px-4">
          <span className="grow py-2 font-semibold text-accent sm:grow-0">AWO</span>
          <nav
            aria-label="Main"
            className="order-last flex min-w-0 basis-full justify-between overflow-x-auto sm:order-none sm:justify-start sm:gap-1 sm:grow sm:basis-auto"
          >
            {PLACES.map(({ to, label, icon: PlaceIcon }) => {
              const here = location.startsWith(to);
              return (
                <Link
                  key={to}
                  href={to}
                  aria-current={here ? 'page' : undefined}
                  className={`relative flex flex-col items-center gap-0.5 border-b-2 px-1 py-1.5 text-[0.7rem] font-medium whitespace-nowrap sm:flex-row sm:px-2.5 sm:py-3 sm:text-sm ${here ? 'border-accent text-text' : 'border-transparent text-soft hover:text-text'}`}
                >
                  <PlaceIcon aria-hidden size={18} className="sm:hidden" />
                  {label}
                  {to === '/agent-work-orders' && <Needing />}
                </Link>
              );
            })}
          </nav>
          <LiveMark />
          <IconButton label={`Theme: ${theme}`} onClick={changeTheme}>
            <Icon aria-hidden size={18} />
          </IconButton>
          <IconButton label="Keys" onClick={() => setHelp(true)}>
            <Keyboard aria-hidden size={18} />
          </IconButton>
          <Account />
        </div>
      </header>
      <ServiceState />
      <main id="main" tabIndex={-1} className="mx-auto max-w-screen-2xl px-3 py-5 outline-none sm:px-4">
        {children}
      </main>
      <KeyHelp open={help} onOpenChange={setHelp} />
    </>
  );
}
