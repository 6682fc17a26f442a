// The time as components show it, which goes on by itself.
import { useEffect, useState } from 'react';

/** Milliseconds since 1970, anew each second; each minute where nothing runs. */
export function useNow(running = true): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), running ? 1000 : 60_000);
    return () => clearInterval(timer);
  }, [running]);
  return now;
}
