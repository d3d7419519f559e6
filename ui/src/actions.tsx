// What can be done with groups: each key is one edit on the server, with a dialog before where it needs one.
import { h } from "./react";
import { useDesk } from "./desk";
import { MergeDialog, NameDialog, SplitDialog, SureDialog } from "./dialogs";
import { letter } from "./keys";
import { t, type Word } from "./words";
import type { Card } from "./types";

export const GROUP_KEYS: [string, Word][] = [
  ["o", "openInGrid"],
  ["c", "confirm"],
  ["r", "rename"],
  ["m", "merge"],
  ["x", "split"],
  ["i", "ignore"],
  ["k", "keepApart"],
  ["u", "undo"],
];

export function useGroupActions(groups: Card[], onDone: () => void) {
  const { session, ask } = useDesk();
  const ids = groups.map((group) => group.id);
  const sizesOf = (some: Card[]) => Object.fromEntries(some.map((group) => [group.id, group.size])); // as they were shown
  const sizes = sizesOf(groups);
  const [first] = groups;
  const one = () => ({ group: first.id, sizes: sizesOf([first]) });
  const edit = async (method: string, args: Record<string, unknown>) => {
    if (await session.edit(method, args)) onDone();
  };
  const merge = () => {
    if (groups.length < 2) return session.update({ text: t("needTwo") });
    ask(<MergeDialog groups={groups} onChosen={(name) => void edit("merge", { groups: ids, name, sizes })} />);
  };
  const rename = () => {
    const chosen = (name: string) => void edit("rename", { ...one(), name, merge: false });
    ask(<NameDialog title={t("renameTitle", { name: first.name })} start={first.named ? first.name : ""} ok={t("rename")}
      onChosen={(each) => chosen(each.name)} />);
  };
  const ignore = () => {
    const n = groups.reduce((sum, group) => sum + group.size, 0);
    const name = groups.map((group) => group.name).join(", ");
    ask(<SureDialog title={t("ignoreSure", { n, name })} ok={t("ignore")} onOk={() => void edit("ignore", { groups: ids, sizes })} />);
  };
  const split = () => ask(<SplitDialog name={first.name} onChosen={(k) => void edit("split", { ...one(), k })} />);
  const keepApart = () =>
    groups.length < 2 ? session.update({ text: t("needTwo") }) : void edit("keep_apart", { groups: ids, sizes });
  const table: Record<string, () => void> = {
    o: () => void session.showInGrid({ groups: ids }),
    c: () => void edit("confirm", { groups: ids, sizes }),
    r: rename,
    m: merge,
    x: split,
    i: ignore,
    k: keepApart,
  };
  const press = (key: string): boolean => {
    const name = key === "Enter" ? "o" : letter(key);
    if (name === "u") return void session.edit("undo", { number: null }), true;
    if (!first || !(name in table)) return false;
    table[name]();
    return true;
  };
  return { press };
}
