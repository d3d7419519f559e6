// Parts that several screens have: a button with its key, a sentence that stays, a reading call that follows changes.
import { h, useEffect, useRef, useState } from "./react";
import { useDesk } from "./desk";
import { useStore } from "./store";
import { t, type Word } from "./words";
import type { ReactNode } from "./react";
import type { Progress } from "./types";

const AHEAD_MS = 60; // after the pictures of this page were asked for

type ActProps = { word: Word; k?: string; text?: string; cy?: string; isMain?: boolean; disabled?: boolean; onPress(): void };

export function Act({ word, k, text, cy, isMain, disabled, onPress }: ActProps) {
  return (
    <button c={isMain ? "main" : undefined} disabled={disabled} cy={cy || word} onClick={onPress}>
      {text || t(word)}{k && <kbd>{k}</kbd>}
    </button>
  );
}

type NoteProps = { cy?: string; code?: string; isPlain?: boolean; children: ReactNode; onClose?(): void; buttons?: ReactNode };

export function Note({ cy, code, isPlain, children, onClose, buttons }: NoteProps) {
  return (
    <div c={`note${isPlain ? "" : " bad"}`} role={isPlain ? "status" : "alert"} cy={cy || "note"} data-code={code}>
      <span>{children}</span>
      {buttons}
      {onClose && <button onClick={onClose} label={t("dismiss")}>✕</button>}
    </div>
  );
}

// Where pages are turned; nothing turns by itself.
export function Pages({ page, perPage, shown, n, onTurn }: { page: number; perPage: number; shown: number; n: number; onTurn(step: number): void }) {
  const from = page * perPage;
  return (
    <span c="row">
      <span c="soft" cy="range" data-page={page} data-n={n} aria-live="polite">
        {t("range", { from: n ? from + 1 : 0, to: from + shown, n })}
      </span>
      <button onClick={() => onTurn(-1)} disabled={!page} label={t("previous")} cy="previous">‹</button>
      <button onClick={() => onTurn(1)} disabled={from + perPage >= n} label={t("next")} cy="next">›</button>
    </span>
  );
}

type Arguments = Record<string, unknown>;

// What the server says to a reading call, read anew after each edit; an older reply never replaces a newer one. No
// method: nothing is read. With `next`, what will be wanted then is asked for as soon as this is on the screen.
export function useRead<T>(
  method: string | null,
  args: Arguments,
  delay = 0,
  next?: (reply: T) => Arguments | false,
  onAhead?: (reply: T) => void,
  onStay?: (shown: T) => Arguments, // of what is shown already
): T | null {
  const { session } = useDesk();
  const { version } = useStore(session);
  const [found, setFound] = useState<T | null>(null);
  const ahead = useRef<[key: string, reply: Promise<T>] | null>(null);
  const keyOf = (what: Arguments) => JSON.stringify([version, what]);
  const key = keyOf(args);
  const shown = useRef<[args: string, reply: T] | null>(null);
  useEffect(() => {
    if (!method) return undefined;
    let isCurrent = true;
    const read = (what: Arguments) => session.read<T & { progress?: Progress }>(method, what);
    const prepare = (now: T) => {
      const then = isCurrent && next?.(now);
      if (!then) return;
      const reply = read(then);
      ahead.current = [keyOf(then), reply];
      reply.then(onAhead, () => (ahead.current = null)); // asked for again when it is wanted
    };
    const timer = setTimeout(() => {
      const [known, coming] = ahead.current || [];
      const [last, old] = shown.current || [];
      const now = JSON.stringify(args);
      const asked = known === key ? coming! : read(last === now ? { ...args, ...onStay?.(old!) } : args);
      asked.then((reply) => {
        if (!isCurrent) return;
        shown.current = [now, reply];
        setFound(reply);
        setTimeout(prepare, AHEAD_MS, reply);
      }, (problem) => isCurrent && session.fail(problem));
    }, delay);
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [session, method, key]);
  return found;
}
