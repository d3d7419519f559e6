// Dialogs: a name with suggestions, a choice, a "sure?".
import { h, focusOn, useEffect, useRef, useState } from "./react";
import { halt } from "./keys";
import { useDesk } from "./desk";
import { t } from "./words";
import type { ReactNode } from "./react";

type DialogProps = { title: string; ok: string; onOk?: () => void; children?: ReactNode; safe?: boolean };

// Escape closes, Enter agrees; the focus stays inside and goes back to the panel. With `safe`, Enter is "cancel".
export function Dialog({ title, ok, onOk, children, safe }: DialogProps) {
  const { ask, root } = useDesk();
  const box = useRef<HTMLFormElement>(null);
  const close = () => ask(null);
  useEffect(() => {
    const find = (what: string) => box.current?.querySelector<HTMLElement>(what);
    const first = find("[data-first]") || find("input, button");
    focusOn(first);
    if (first instanceof HTMLInputElement) first.select();
    return () => focusOn(root.current);
  }, [root]);
  const onKeyDown = (event: React.KeyboardEvent) => {
    event.stopPropagation(); // the App listens for Escape, too
    if (event.nativeEvent.isComposing) return;
    if (event.key === "Escape") close();
    if (event.key !== "Tab") return;
    const all = [...box.current!.querySelectorAll<HTMLElement>("input, button:not(:disabled)")];
    const at = all.indexOf(document.activeElement as HTMLElement);
    all[(at + (event.shiftKey ? all.length - 1 : 1)) % all.length]?.focus();
    halt(event);
  };
  const submit = (event: React.FormEvent) => {
    halt(event);
    onOk?.();
  };
  return (
    <div c="shade" onPointerDown={(event) => event.target === event.currentTarget && close()}>
      <form ref={box} c="dialog" role="dialog" aria-modal label={title} cy="dialog" onKeyDown={onKeyDown} onSubmit={submit}>
        <h3>{title}</h3>
        {children}
        <div c="end">
          <button type="button" onClick={close} data-first={safe || undefined}>{t("cancel")}</button>
          {onOk && <button type="submit" c="main" cy="ok">{ok}</button>}
        </div>
      </form>
    </div>
  );
}

export type Chosen = { id: number | null; name: string };

// Where images are moved: a group, or a new one of that name.
export const placeOf = ({ id, name }: Chosen) => ({ to: id, name: id == null ? name : undefined });

// A name is typed; names that there are already are offered. Enter takes what is written, or the one chosen by arrows.
export function NameDialog({ title, start, ok, isNew, onChosen }: {
  title: string;
  start?: string;
  ok: string;
  isNew?: boolean; // the name may be a new one or none at all: a new group
  onChosen(chosen: Chosen): void;
}) {
  const { session, ask } = useDesk();
  const [text, setText] = useState(start || "");
  const [names, setNames] = useState<{ id: number; name: string; size: number }[]>([]);
  const [at, setAt] = useState(-1);
  useEffect(() => {
    let isCurrent = true;
    const timer = setTimeout(() => {
      const asked = session.api.read<{ names: typeof names }>("names", { text });
      asked.then((reply) => isCurrent && setNames(reply.names), () => undefined);
    }, 60);
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [session, text]);
  const take = (chosen: Chosen) => {
    ask(null);
    onChosen(chosen);
  };
  const agree = () => {
    const same = names.find((each) => each.name === text.trim());
    if (names[at]) take(names[at]);
    else if (same) take(same);
    else if (text.trim() || isNew) take({ id: null, name: text.trim() });
  };
  const onKeyDown = (event: React.KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || event.nativeEvent.isComposing) return;
    halt(event);
    setAt(Math.max(-1, Math.min(names.length - 1, at + step)));
  };
  const change = (value: string) => {
    setText(value);
    setAt(-1);
  };
  return (
    <Dialog title={title} ok={ok} onOk={agree}>
      <input value={text} label={t("name")} placeholder={isNew ? t("newGroup") : t("name")} maxLength={200} cy="name"
        onChange={(event) => change(event.target.value)} onKeyDown={onKeyDown} />
      <ul role="listbox" label={t("name")}>
        {names.map((each, place) => (
          <li key={each.id} role="presentation">
            <button type="button" role="option" aria-selected={place === at} tabIndex={-1} onClick={() => take(each)}>
              <span>{each.name}</span>
              <span c="soft">{t("nImages", { n: each.size })}</span>
            </button>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}

// Which name stays is said before: the named one, then the larger one, unless another is chosen.
export function MergeDialog({ groups, onChosen }: {
  groups: { id: number; name: string; named: boolean; size: number }[];
  onChosen(name: string): void;
}) {
  const { ask } = useDesk();
  const ranked = [...groups].sort((a, b) => Number(b.named) - Number(a.named) || b.size - a.size);
  const [name, setName] = useState(ranked[0].name);
  const n = groups.reduce((sum, each) => sum + each.size, 0);
  const isRisky = groups.filter((each) => each.named).length > 1;
  const agree = () => {
    ask(null);
    onChosen(name);
  };
  return (
    <Dialog title={t("mergeTitle", { n: groups.length })} ok={t("merge")} onOk={agree} safe={isRisky}>
      <div c="soft">{t("mergeInto", { n })}</div>
      {ranked.map((each) => (
        <label key={each.id} c="row">
          <input type="radio" name="cr-merge" checked={each.name === name} onChange={() => setName(each.name)} />
          <b>{each.name}</b> <span c="soft">{t("nImages", { n: each.size })}</span>
        </label>
      ))}
    </Dialog>
  );
}

export function SplitDialog({ name, onChosen }: { name: string; onChosen(k: number): void }) {
  const { ask } = useDesk();
  const [k, setK] = useState(2);
  const agree = () => {
    ask(null);
    onChosen(k);
  };
  return (
    <Dialog title={t("splitTitle", { name })} ok={t("split")} onOk={agree}>
      <label c="row">
        {t("splitInto")}
        <input type="number" min={2} max={20} value={k} onChange={(event) => setK(Number(event.target.value))} />
      </label>
    </Dialog>
  );
}

export function SureDialog({ title, ok, onOk }: { title: string; ok: string; onOk(): void }) {
  const { ask } = useDesk();
  const agree = () => {
    ask(null);
    onOk();
  };
  return <Dialog title={title} ok={ok} onOk={agree} safe />;
}
