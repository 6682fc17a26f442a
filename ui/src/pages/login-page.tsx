// For who is not logged in: how to get a link.
import { KeyRound } from 'lucide-react';
import { Button } from '../components/button';
import { copy } from '../lib/copy';

export function LoginPage({ onRetry }: { onRetry: () => void }) {
  return (
    <main className="mx-auto max-w-lg px-4 py-16">
      <div className="card space-y-4 p-6">
        <h1 className="flex items-center gap-2 text-xl font-semibold">
          <KeyRound aria-hidden size={22} className="text-accent" /> Log in to AWO
        </h1>
        <p>On the machine where AWO runs, as the user whose orders you want to see, type:</p>
        <div className="flex items-center gap-2">
          <code className="grow rounded-lg bg-raised px-3 py-2">awoctl ui</code>
          <Button small onClick={() => void copy('awoctl ui', 'Command')}>
            Copy
          </Button>
        </div>
        <p className="text-soft">
          It prints a link that logs this browser in. A link works once and only for a short time: if yours
          has ended, or your session has, make another.
        </p>
        <Button onClick={onRetry}>I have logged in: try again</Button>
      </div>
    </main>
  );
}
