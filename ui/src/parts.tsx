// Parts that several screens have: a button with its key, a sentence that stays, a reading call that follows changes.
import { h, useEffect, useState } from "./react";
import { useDesk } from "./desk";
import { useStore } from "./store";
import { t, type Word } from "./words";
import type { ReactNode } from "./react";
import type { Progress } from "./types";

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
      {onClose && <button onClick={onClose} aria-label={t("dismiss")}>✕</button>}
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
      <button onClick={() => onTurn(-1)} disabled={!page} aria-label={t("previous")} cy="previous">‹</button>
      <button onClick={() => onTurn(1)} disabled={from + perPage >= n} aria-label={t("next")} cy="next">›</button>
    </span>
  );
}

// What the server says to a reading call, read anew after each edit; an older reply never replaces a newer one. No
// method: nothing is read.
export function useRead<T>(method: string | null, args: Record<string, unknown>, delay = 0): T | null {
  const { session } = useDesk();
  const { version } = useStore(session);
  const [found, setFound] = useState<T | null>(null);
  const key = JSON.stringify(args);
  useEffect(() => {
    if (!method) return undefined;
    let isCurrent = true;
    const read = () => session.read<T & { progress?: Progress }>(method, args);
    const timer = setTimeout(() => {
      read().then((reply) => isCurrent && setFound(reply), (problem) => {
        if (isCurrent) session.fail(problem);
      });
    }, delay);
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [session, method, key, version]);
  return found;
}
