// "This image": where the sample that was opened or selected last belongs, why, and what else it could be.
import { h, Fragment, useEffect } from "./react";
import { Card } from "./card";
import { useDesk, useKeys } from "./desk";
import { NameDialog, placeOf } from "./dialogs";
import { letter } from "./keys";
import { Act, useRead } from "./parts";
import { Thumb } from "./pictures";
import type { Session } from "./session";
import { useStore } from "./store";
import { named, t, type Word } from "./words";
import type { Picture, ThisImage } from "./types";

const KEYS: [string, Word][] = [["v", "move"], ["x", "notThis"], ["i", "ignore"], ["t", "two"], ["u", "undo"]];

// Keeps which sample is open in the App, else which was selected last, whatever tab is shown.
export function useCurrentSample(session: Session): void {
  const { useRecoilValue } = window.recoil;
  const open = useRecoilValue<string | null>(window.__fos__.nullableModalSampleId);
  const selected = useRecoilValue<Map<string, unknown> | Set<string>>(window.__fos__.selectedSamples);
  const current = open || [...(selected?.keys() || [])].pop() || null;
  useEffect(() => {
    if (current) session.update({ sample: current.replace(/-modal$/, "") });
  }, [session, current]);
}

function Row({ word, pictures }: { word: Word; pictures: Picture[] }) {
  if (!pictures.length) return null;
  return (
    <>
      <h4>{t(word)}</h4>
      <div c="pictures">{pictures.map((picture) => <Thumb key={picture.id} picture={picture} size={110} />)}</div>
    </>
  );
}

export function Image() {
  const { session, ask } = useDesk();
  const { sample: id } = useStore(session);
  const found = useRead<ThisImage>(id ? "image" : null, { id }); // the one before stays until this one is there
  const items = [found?.picture.id];
  const edit = (method: string, args: Record<string, unknown> = {}) => void session.edit(method, { items, group: found?.group?.id || 0, ...args });
  const table: Record<string, () => void> = {
    v: () => ask(<NameDialog title={t("moveTitle", { n: 1 })} ok={t("move")} isNew
      onChosen={(to) => edit("move", placeOf(to))} />),
    x: () => edit("reject"),
    i: () => edit("ignore"),
    t: () => edit("two", { group: undefined }),
    u: () => void session.edit("undo", { number: null }),
  };
  const press = (key: string): boolean => {
    const rival = found?.rivals[Number(key) - 1];
    if (rival) return edit("move", { to: rival.id }), true;
    if (!found || !(letter(key) in table)) return false;
    table[letter(key)]();
    return true;
  };
  useKeys(press);
  if (!id || !found) return <div c="empty" cy="empty">{id ? t("loading") : t("pickImage")}</div>;
  const { picture, group, rivals } = found;
  return (
    <>
      <div c="ask" cy="image" data-id={picture.id}>
        <h2>{group ? t("inGroup", { name: group.name }) : t("inNoGroup")}</h2>
        <span c="soft">{[picture.name, found.status && named("status_", found.status)].filter(Boolean).join(" · ")}</span>
      </div>
      <div c="pictures"><Thumb picture={picture} size={240} /></div>
      <Row word="why" pictures={found.nearest} />
      {!!rivals.length && <h4>{t("rivals")}</h4>}
      <div c="cards" role="listbox" label={t("rivals")}>
        {rivals.map((rival) => <Card key={rival.id} group={rival} onClick={() => edit("move", { to: rival.id })} />)}
      </div>
      <Row word="neighbours" pictures={found.neighbours} />
      <div c="keys">
        {KEYS.map(([key, word]) => (
          <Act key={key} word={word} k={key} disabled={word === "notThis" && !group} onPress={() => press(key)}
            text={word === "notThis" && group ? t("notX", { name: group.name }) : ""} />
        ))}
        {rivals.map((rival, place) => (
          <Act key={rival.id} word="move" k={`${place + 1}`} text={`→ ${rival.name}`} onPress={() => press(`${place + 1}`)} />
        ))}
      </div>
    </>
  );
}
