// What every screen of the panel needs, by React's context.
import { createContext, focusOn, useContext, useEffect, useRef } from "./react";
import { halt, isForUs, isOnButton } from "./keys";
import type { Queue } from "./queue";
import type { Session } from "./session";
import type { ReactNode, RefObject } from "./react";

export type Desk = {
  session: Session;
  queue: Queue;
  root: RefObject<HTMLDivElement>;
  ask(dialog: ReactNode | null): void; // shows a dialog, or closes it
};

export const DeskContext = createContext<Desk>(null as never);
export const useDesk = () => useContext(DeskContext);

// Keys of a screen: heard on the panel only. The handler says whether a key meant something.
export function useKeys(handle: (key: string, event: globalThis.KeyboardEvent) => boolean): void {
  const { root } = useDesk();
  const latest = useRef(handle);
  latest.current = handle;
  useEffect(() => {
    // What had the focus is gone, as a card of the last page: keys stay with the panel.
    if (document.activeElement === document.body && root.current?.matches(".cr-on")) focusOn(root.current);
  });
  useEffect(() => {
    const panel = root.current;
    const heard = (event: globalThis.KeyboardEvent) => {
      if (!isForUs(event) || isOnButton(event) || event.defaultPrevented) return;
      if (!latest.current(event.key, event)) return;
      halt(event);
      event.stopPropagation();
    };
    panel?.addEventListener("keydown", heard);
    return () => panel?.removeEventListener("keydown", heard);
  }, [root]);
}
