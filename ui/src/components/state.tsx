// What stands where there is nothing to show: loading, nothing there, something wrong.
import { CircleAlert, Inbox } from 'lucide-react';
import { Component, type ErrorInfo, type ReactNode } from 'react';
import { Button } from './button';

export function Loading({ what }: { what: string }) {
  return (
    <div role="status" className="space-y-3 p-4">
      <span className="text-sm text-soft">Loading {what}…</span>
      {[80, 60, 70].map((width) => (
        <div key={width} className="pulse h-4 rounded bg-raised" style={{ width: `${width}%` }} />
      ))}
    </div>
  );
}

/** What is said; the heading of the page where nothing else is on it. */
function Said({ title, whole }: { title: string; whole: boolean }) {
  return whole ? <h1 className="text-lg font-semibold">{title}</h1> : <p className="font-medium">{title}</p>;
}

interface EmptyProps {
  title: string;
  /** It is the whole page. */
  whole?: boolean;
  text?: ReactNode;
  children?: ReactNode;
}

export function Empty({ title, whole = false, text, children }: EmptyProps) {
  return (
    <div className="flex flex-col items-center gap-2 px-4 py-10 text-center">
      <Inbox aria-hidden size={28} className="text-soft" />
      <Said title={title} whole={whole} />
      {text && <p className="max-w-prose text-sm text-soft">{text}</p>}
      {children}
    </div>
  );
}

interface ProblemProps {
  title: string;
  /** It is the whole page. */
  whole?: boolean;
  error: Error;
  onRetry?: () => void;
  children?: ReactNode;
}

export function Problem({ title, whole = false, error, onRetry, children }: ProblemProps) {
  return (
    <div role="alert" className="flex flex-col items-center gap-2 px-4 py-10 text-center">
      <CircleAlert aria-hidden size={28} className="text-failed" />
      <Said title={title} whole={whole} />
      <p className="max-w-prose text-sm text-soft">{error.message}</p>
      <div className="mt-2 flex gap-2">
        {onRetry && <Button onClick={onRetry}>Try again</Button>}
        {children}
      </div>
    </div>
  );
}

interface BoundaryProps {
  children: ReactNode;
}

/** A defect in one page is said there, and the others still work. */
export class ErrorBoundary extends Component<BoundaryProps, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override componentDidCatch(error: Error, info: ErrorInfo) {
    console.error(error, info.componentStack);
  }

  override render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    return (
      <Problem
        whole
        title="This page failed. Your work orders go on regardless."
        error={error}
        onRetry={() => this.setState({ error: null })}
      >
        <Button onClick={() => location.reload()}>Load anew</Button>
      </Problem>
    );
  }
}
