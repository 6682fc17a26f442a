// A press ends where it began: what moves away under a pointer that stands still gets its click all the same.

/** Farther than that the pointer was moved on purpose: who lets go elsewhere has thought better of it. */
const STILL_PX = 4;
const PRESSED = 'button, a[href], summary';

/**
 * Lists move while they are live. Released over something else, a press would be a click on what both have in common,
 * which is nothing; with the pointer captured it is a click on what was pressed.
 */
export function keepPresses(): void {
  let x = 0;
  let y = 0;
  document.addEventListener('pointerdown', (event) => {
    if (event.pointerType !== 'mouse' || event.button !== 0 || !(event.target instanceof Element)) return;
    [x, y] = [event.clientX, event.clientY];
    event.target.closest(PRESSED)?.setPointerCapture(event.pointerId);
  });
  document.addEventListener('pointermove', ({ target, pointerId, clientX, clientY }) => {
    if (!(target instanceof Element) || !target.hasPointerCapture(pointerId)) return;
    if (Math.hypot(clientX - x, clientY - y) > STILL_PX) target.releasePointerCapture(pointerId);
  });
}
