// What every screen of the panel needs, by React's context.
import { createContext, useContext, useEffect, useRef } from "./react";
import { isForUs, isOnButton } from "./keys";
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
    const panel = root.current;
    const heard = (event: globalThis.KeyboardEvent) => {
      if (!isForUs(event) || isOnButton(event) || event.defaultPrevented) return;
      if (!latest.current(event.key, event)) return;
      event.preventDefault();
      event.stopPropagation();
    };
    panel?.addEventListener("keydown", heard);
    return () => panel?.removeEventListener("keydown", heard);
  }, [root]);
}
