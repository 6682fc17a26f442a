// Shows toasts; an error stays until it is closed.
import * as Radix from '@radix-ui/react-toast';
import { CircleAlert, CircleCheck, TriangleAlert, X } from 'lucide-react';
import { Link } from 'wouter';
import { escape } from '../lib/escape';
import { dismiss, useToasts } from '../lib/toasts';
import { IconButton } from './button';

const LOOK = {
  success: { icon: CircleCheck, colour: 'text-completed' },
  warning: { icon: TriangleAlert, colour: 'text-waiting' },
  error: { icon: CircleAlert, colour: 'text-failed' },
};

const DURATION = { success: 5000, warning: 12_000, error: Infinity };

/** Only where nothing else is open, or in the message itself, is the key for a message. */
function onEscape(event: KeyboardEvent): void {
  const inMessage = event.target instanceof Element && event.target.closest('[data-message]');
  if (!inMessage && escape()) event.preventDefault();
}

export function Toasts() {
  const toasts = useToasts();
  return (
    <Radix.Provider duration={5000} label="Message">
      {toasts.map((toast) => {
        const { icon: Icon, colour } = LOOK[toast.kind];
        return (
          <Radix.Root
            key={toast.id}
            data-message
            onEscapeKeyDown={onEscape}
            duration={DURATION[toast.kind]}
            type={toast.kind === 'error' ? 'foreground' : 'background'}
            onOpenChange={(open) => !open && dismiss(toast.id)}
            className="card flex items-start gap-3 p-3 shadow-lg"
          >
            <Icon aria-hidden size={20} className={`mt-0.5 shrink-0 ${colour}`} />
            <div className="min-w-0 grow">
              <Radix.Title className="font-medium">{toast.title}</Radix.Title>
              {toast.text && (
                <Radix.Description className="text-sm break-words text-soft">{toast.text}</Radix.Description>
              )}
              {toast.to && (
                <Radix.Action asChild altText="Open the order">
                  <Link href={toast.to} className="text-sm font-medium text-accent underline">
                    Open the order
                  </Link>
                </Radix.Action>
              )}
            </div>
            <Radix.Close asChild>
              <IconButton label="Close message">
                <X aria-hidden size={16} />
              </IconButton>
            </Radix.Close>
          </Radix.Root>
        );
      })}
      <Radix.Viewport className="fixed right-0 bottom-0 z-50 flex w-full max-w-sm flex-col gap-2 p-4 outline-none" />
    </Radix.Provider>
  );
}
