// Buttons, and links that look like them.
import { LoaderCircle } from 'lucide-react';
import type { ButtonHTMLAttributes, ReactNode } from 'react';
import { Link } from 'wouter';

type Look = 'primary' | 'plain' | 'quiet' | 'danger';

const LOOKS: Record<Look, string> = {
  primary: 'bg-accent text-on-accent hover:bg-accent-strong border-transparent',
  plain: 'bg-card text-text hover:bg-raised border-line',
  quiet:
    'bg-transparent text-soft hover:text-text hover:bg-raised border-transparent aria-pressed:bg-raised aria-pressed:text-text',
  danger: 'bg-card text-failed hover:bg-removed border-line',
};

function classes(look: Look, small: boolean, more = ''): string {
  const size = small ? 'px-2.5 py-1 text-sm' : 'px-3.5 py-1.5';
  return `inline-flex items-center justify-center gap-1.5 rounded-lg border font-medium whitespace-nowrap disabled:opacity-55 disabled:cursor-not-allowed ${size} ${LOOKS[look]} ${more}`;
}

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  look?: Look;
  small?: boolean;
  busy?: boolean;
}

export function Button({
  look = 'plain',
  small = false,
  busy = false,
  className,
  children,
  ...rest
}: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      disabled={rest.disabled === true || busy}
      className={classes(look, small, className)}
    >
      {busy && <LoaderCircle aria-hidden size={16} className="animate-spin" />}
      {children}
    </button>
  );
}

interface IconButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  label: string;
  children: ReactNode;
}

/** A button that is only a picture; the label is its name and its tooltip. */
export function IconButton({ label, children, className = '', ...rest }: IconButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      aria-label={label}
      title={label}
      className={`inline-flex size-8 shrink-0 items-center justify-center rounded-lg text-soft hover:bg-raised hover:text-text disabled:opacity-50 ${className}`}
    >
      {children}
    </button>
  );
}

interface ButtonLinkProps {
  to: string;
  look?: Look;
  small?: boolean;
  className?: string;
  children: ReactNode;
}

export function ButtonLink({ to, look = 'plain', small = false, className, children }: ButtonLinkProps) {
  return (
    <Link href={to} className={classes(look, small, className)}>
      {children}
    </Link>
  );
}

interface OutLinkProps {
  href: string;
  children: ReactNode;
  look?: Look;
  small?: boolean;
}

/** To another site, in a tab of its own that learns nothing of this one. */
export function OutLink({ href, children, look = 'plain', small = false }: OutLinkProps) {
  return (
    <a href={href} target="_blank" rel="noopener noreferrer" className={classes(look, small)}>
      {children}
    </a>
  );
}
