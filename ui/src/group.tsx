// One group with all its pictures, the most doubtful first: mark some and move, reject, ignore or split them off.
import { h, Fragment, useState } from "./react";
import { useDesk, useKeys } from "./desk";
import { NameDialog, placeOf } from "./dialogs";
import { letter } from "./keys";
import { Act, Pages, useRead } from "./parts";
import { Thumb } from "./pictures";
import { digits, t, type Word } from "./words";
import type { Card, Picture } from "./types";

type Found = { card: Card; pictures: Picture[]; n: number };
const PER_PAGE = 60;
const KEYS: [string, Word][] = [
  ["v", "move"],
  ["x", "notThis"],
  ["i", "ignore"],
  ["z", "splitOff"],
  ["t", "cover"],
  ["o", "openInGrid"],
  ["c", "confirm"],
  ["u", "undo"],
];

export function PictureTile({ picture, isMarked, onToggle }: { picture: Picture; isMarked: boolean; onToggle(): void }) {
  return (
    <button c="tile" aria-pressed={isMarked} cy="picture" data-id={picture.id} data-marked={isMarked} onClick={onToggle}>
      <span c="pictures"><Thumb picture={picture} size={128} /></span>
      <span c="meta">{digits(picture.difference)}{picture.status === "confirmed" ? " ✓" : ""} {picture.name}</span>
    </button>
  );
}

export function OneGroup({ id, onBack }: { id: number; onBack(): void }) {
  const { session, ask } = useDesk();
  const [page, setPage] = useState(0);
  const found = useRead<Found>("group", { id, page });
  const [marked, setMarked] = useState<string[]>([]);
  const edit = async (method: string, args: Record<string, unknown>) => {
    if (await session.edit(method, args)) setMarked([]);
  };
  const name = found?.card.name || "";
  const [marks, sizes] = [{ items: marked, group: id }, { [id]: found?.n }]; // as they are shown
  const withMarks = (act: () => void) => (marked.length ? act() : session.update({ text: t("needMarks") }));
  const table: Record<string, () => void> = {
    v: () => withMarks(() => ask(<NameDialog title={t("moveTitle", { n: marked.length })} ok={t("move")} isNew
      onChosen={(to) => void edit("move", { ...marks, ...placeOf(to) })} />)),
    x: () => withMarks(() => void edit("reject", marks)),
    i: () => withMarks(() => void edit("ignore", marks)),
    z: () => withMarks(() => void edit("split", { group: id, parts: [marked], sizes })),
    t: () => withMarks(() => void edit("cover", marks)),
    o: () => void session.showInGrid(marked.length ? { items: marked } : { groups: [id] }),
    c: () => void edit("confirm", { groups: [id], sizes }),
    u: () => void session.edit("undo", { number: null }),
  };
  const press = (key: string): boolean => {
    if (!(letter(key) in table)) return false;
    table[letter(key)]();
    return true;
  };
  const pages = Math.ceil((found?.n || 0) / PER_PAGE);
  useKeys((key) => {
    if (key === "Escape" || key === "Backspace") return marked.length && key === "Escape" ? setMarked([]) : onBack(), true;
    if (key === "PageDown" && page < pages - 1) return setPage(page + 1), true;
    if (key === "PageUp" && page) return setPage(page - 1), true;
    return press(key);
  });
  const toggle = (item: string) =>
    setMarked((old) => (old.includes(item) ? old.filter((each) => each !== item) : [...old, item]));
  return (
    <>
      <div c="bar" cy="group" data-id={id}>
        <Act word="back" k="Esc" onPress={onBack} />
        <b>{name}</b>
        {found && <span c="soft">{t("nImages", { n: found.n })} · {t("inside", { d: digits(found.card.inside) })}</span>}
        <span c="grow" />
        {found && pages > 1 && (
          <Pages page={page} perPage={PER_PAGE} shown={found.pictures.length} n={found.n} onTurn={(step) => setPage(page + step)} />
        )}
      </div>
      {!found && <div c="empty">{t("loading")}</div>}
      <div c="tiles">
        {found?.pictures.map((picture) => (
          <PictureTile key={picture.id} picture={picture} isMarked={marked.includes(picture.id)} onToggle={() => toggle(picture.id)} />
        ))}
      </div>
      <div c="keys">
        <span c="soft row">{t("nPictures", { n: marked.length })}</span>
        {KEYS.map(([key, word]) => (
          <Act key={key} word={word} k={key} text={word === "notThis" ? t("notX", { name }) : ""} onPress={() => press(key)} />
        ))}
      </div>
    </>
  );
}
