import { act, render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { useState } from 'react';
import { Router } from 'wouter';
import { describe, expect, it } from 'vitest';
import { toast } from '../lib/toasts';
import { OrderMenu } from '../orders/order-menu';
import { anOrder } from '../testing';
import { Confirm, Dialog } from './dialog';
import { Toasts } from './toasts';

function Asking({ kind }: { kind: 'dialog' | 'question' }) {
  const [open, setOpen] = useState(true);
  return kind === 'dialog' ? (
    <Dialog open={open} onOpenChange={setOpen} title="Edit">
      <input aria-label="Name" />
    </Dialog>
  ) : (
    <Confirm
      open={open}
      onOpenChange={setOpen}
      title="Edit"
      text="?"
      action="Do"
      onConfirm={() => undefined}
    />
  );
}

describe('Escape, when a message has come up since', () => {
  for (const kind of ['dialog', 'question'] as const) {
    it(`closes the ${kind} first, then the message`, async () => {
      const user = userEvent.setup();
      render(
        <Router>
          <Asking kind={kind} />
          <Toasts />
        </Router>,
      );
      act(() => toast.warning(`Failed beside a ${kind}`));
      const message = await screen.findByText(`Failed beside a ${kind}`);
      expect(screen.getByText('Edit')).toBeTruthy();
      await user.keyboard('{Escape}');
      expect(screen.queryByText('Edit')).toBeNull();
      expect(message.isConnected).toBe(true);
      await user.keyboard('{Escape}');
      expect(screen.queryByText(`Failed beside a ${kind}`)).toBeNull();
    });
  }

  it('closes a menu first', async () => {
    const user = userEvent.setup();
    render(
      <Router>
        <OrderMenu order={anOrder()} onDo={() => undefined} />
        <Toasts />
      </Router>,
    );
    await user.click(screen.getByRole('button', { name: /More actions/ }));
    act(() => toast.error('Failed beside a menu'));
    await screen.findByText('Failed beside a menu');
    await user.keyboard('{Escape}');
    expect(screen.queryByRole('menu')).toBeNull();
    expect(screen.getByText('Failed beside a menu')).toBeTruthy();
    await user.keyboard('{Escape}');
    expect(screen.queryByText('Failed beside a menu')).toBeNull();
  });
});
