// The tab "Groups": pages of cards, and what can be done with one or several groups by key.
import { h, Fragment, focusOn, useCallback, useEffect, useRef, useState } from "./react";
import { Card } from "./card";
import { useDesk, useKeys } from "./desk";
import { useGroupActions, GROUP_KEYS } from "./actions";
import { OneGroup } from "./group";
import { halt, letter } from "./keys";
import { Act, Pages, useRead } from "./parts";
import { preload } from "./pictures";
import { remember, remembered } from "./session";
import { t, type Word } from "./words";
import type { Card as Group, GroupsPage, Listing } from "./types";

const SORTS = ["rival", "size", "inside", "name", "reviewed"];
const SHOWS = ["all", "unnamed", "mixed", "double", "tiny", "open"];
const PER_PAGE = 24;
const TYPING_MS = 50;
const BARE = { named: false, flags: [], pictures: [] };
const FIRST = { sort: "rival", show: "all", find: "", page: 0 };

// What is typed is found by name here, at once; the cards with their pictures follow from the server.
function matching({ rows }: Listing, { find, page }: typeof FIRST, old: GroupsPage): GroupsPage {
  const found = rows.filter(([, name]) => name.toLowerCase().includes(find.toLowerCase()));
  const cards = found.slice(page * PER_PAGE, (page + 1) * PER_PAGE).map(([id, name, size, confirmed]) =>
    old.cards.find((card) => card.id === id) || { ...BARE, id, name, size, confirmed });
  return { ...old, cards, n: found.length };
}

function usePage(isFinding: boolean) {
  const [what, setWhat] = useState(() => ({ ...FIRST, ...remembered("groups", FIRST) }));
  const typed = useRef(what.find);
  const delay = typed.current === what.find ? 0 : TYPING_MS;
  const args = { ...what, per_page: PER_PAGE };
  const { sort, show, find, page } = what;
  const next = ({ n }: GroupsPage) => (page + 1) * PER_PAGE < n && { ...args, page: page + 1 };
  const read = useRead<GroupsPage>("groups", args, delay, next, ({ cards }) => preload(cards.flatMap((card) => card.pictures)),
    ({ ids, newest }) => ({ ids, newest }));
  const listing = useRead<Listing>(isFinding || find ? "listing" : null, { sort, show });
  const found = read && read.find !== find && listing?.rows[0] ? matching(listing, what, read) : read;
  useEffect(() => {
    typed.current = what.find;
    remember("groups", what);
  }, [what]);
  return [what, setWhat, found] as const;
}

// Scrolls the panel alone: scrollIntoView would move the whole App.
function reveal(card: HTMLElement): void {
  const body = card.closest(".cr-body")!;
  const keys = body.querySelector(".cr-keys"); // these lie over the last cards
  const [box, all] = [card, body].map((each) => each.getBoundingClientRect());
  const bottom = all.bottom - (keys?.clientHeight || 0);
  const over = Math.max(0, box.bottom - bottom + 8) || Math.min(0, box.top - all.top - 8);
  body.scrollBy(0, over);
}

function Choice({ word, name, values, value, onChange }: {
  word: Word;
  name: string;
  values: string[];
  value: string;
  onChange(value: string): void;
}) {
  return (
    <label>
      {t(word)}
      <select value={value} cy={name} onChange={(event) => onChange(event.target.value)}>
        {values.map((each) => <option key={each} value={each}>{t(`${name}_${each}` as Word)}</option>)}
      </select>
    </label>
  );
}

// Cards keep their places while they are worked on: an edit changes them where they are.
function useSelection(cards: Group[]) {
  const [selected, setSelected] = useState<Group[]>([]);
  const toggle = useCallback((group: Group) => {
    setSelected((old) => (old.some((each) => each.id === group.id) ? old.filter((each) => each.id !== group.id) : [...old, group]));
  }, []);
  const current = selected.map((group) => cards.find((each) => each.id === group.id) || group);
  return { selected: current, toggle, clear: () => setSelected([]) };
}

export function Groups() {
  const { session, root } = useDesk();
  const [isFinding, setFinding] = useState(false);
  const [what, setWhat, found] = usePage(isFinding);
  const [opened, setOpened] = useState<number | null>(null);
  const [at, setAt] = useState(0);
  const grid = useRef<HTMLDivElement>(null);
  const find = useRef<HTMLInputElement>(null);
  const cards = found?.cards || [];
  const { selected, toggle, clear } = useSelection(cards);
  const current = cards[Math.min(at, cards.length - 1)];
  const meant = selected.length ? selected : current ? [current] : [];
  const actions = useGroupActions(meant, clear);
  const change = (part: Partial<typeof FIRST>) => setWhat({ ...what, page: 0, ...part });
  const pages = Math.max(1, Math.ceil((found?.n || 0) / PER_PAGE));
  const turn = (step: number) => {
    const page = Math.max(0, Math.min(pages - 1, what.page + step));
    if (page === what.page) return;
    setWhat({ ...what, page });
    setAt(0);
    root.current?.querySelector(".cr-body")?.scrollTo({ top: 0 });
  };
  const go = (place: number) => {
    const next = Math.max(0, Math.min(cards.length - 1, place));
    setAt(next);
    const card = grid.current?.children[next] as HTMLElement | undefined;
    focusOn(card);
    if (card) reveal(card);
  };
  useKeys((key) => {
    if (opened != null) return false;
    const columns = grid.current ? getComputedStyle(grid.current).gridTemplateColumns.split(" ").length : 1;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key];
    if (step) return go(at + step), true;
    if (key === "PageDown" || key === "]") return turn(1), true;
    if (key === "PageUp" || key === "[") return turn(-1), true;
    if (key === "/" || letter(key) === "f") return focusOn(find.current), true;
    if (key === "Escape" && selected.length) return clear(), true;
    if (key === "Escape" && what.find) return change({ find: "" }), true;
    if (letter(key) === "s" && current) return toggle(current), true;
    if (letter(key) === "d" && current) return setOpened(current.id), true;
    return actions.press(key);
  });
  if (opened != null) return <OneGroup id={opened} onBack={() => setOpened(null)} />;
  return (
    <>
      <div c="bar">
        <Choice word="sort" name="sort" values={SORTS} value={what.sort} onChange={(sort) => change({ sort })} />
        <Choice word="show" name="show" values={SHOWS} value={what.show} onChange={(show) => change({ show })} />
        <label>
          {t("find")}
          <input ref={find} type="search" value={what.find} placeholder={t("findHint")} maxLength={200} cy="find"
            onFocus={() => setFinding(true)} onChange={(event) => change({ find: event.target.value })}
            onKeyDown={(event) => {
              if (!/^(Enter|Escape)$/.test(event.key) || event.nativeEvent.isComposing) return;
              if (event.key === "Escape") change({ find: "" });
              halt(event);
              focusOn(root.current);
            }} />
        </label>
        <span c="grow" />
        {found && <Pages page={what.page} perPage={PER_PAGE} shown={cards.length} n={found.n} onTurn={turn} />}
      </div>
      {!found && <div c="empty">{t("loading")}</div>}
      {found && !cards.length && <div c="empty" cy="empty">{t("noGroups")}</div>}
      <div ref={grid} c="cards" role="listbox" aria-multiselectable label={t("groups")}>
        {cards.map((group, place) => (
          <Card key={group.id} group={group} isCurrent={place === at} onFocus={() => setAt(place)}
            isSelected={selected.some((each) => each.id === group.id)}
            onClick={(event) => {
              setAt(place);
              focusOn(event.currentTarget);
              if (event.shiftKey || event.ctrlKey || event.metaKey) toggle(group);
              else void session.showInGrid({ groups: [group.id] });
            }} />
        ))}
      </div>
      {!!cards.length && (
        <div c="keys" cy="actions">
          <span c="soft row">{selected.length ? t("nSelected", { n: selected.length }) : current?.name}</span>
          <Act word="select" k="s" onPress={() => current && toggle(current)} />
          <Act word="details" k="d" onPress={() => current && setOpened(current.id)} />
          {GROUP_KEYS.map(([key, word]) => <Act key={word} word={word} k={key} onPress={() => actions.press(key)} />)}
        </div>
      )}
    </>
  );
}
