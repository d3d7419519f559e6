// The tab "Progress": how far it is, and everything that was changed, with an undo for each.
import { h, Fragment, useState } from "./react";
import { useDesk, useKeys } from "./desk";
import { letter } from "./keys";
import { Act, useRead } from "./parts";
import { Thumb } from "./pictures";
import { useStore } from "./store";
import { count, language, named, percent, t, type Word } from "./words";
import type { Dispute, HistoryRow, Progress as Numbers } from "./types";

const ROWS = 30;

function Stat({ word, value, share, detail }: { word: Word; value: string; share?: number; detail?: string }) {
  return (
    <div c="stat">
      <span c="soft">{t(word)}</span>
      <b>{value}</b>
      {share != null && <div c="meter" aria-hidden><i style={{ width: `${share}%` }} /></div>}
      {detail && <span c="soft">{detail}</span>}
    </div>
  );
}

function Stats({ numbers }: { numbers: Numbers }) {
  const { items, confirmed, groups, reviewed, purity, left } = numbers;
  const of = (n: number, whole: number) => `${count(n)} / ${count(whole)}`;
  const whole = (share: number) => (100 * share).toFixed(1);
  const answers = Object.entries(numbers.answers);
  return (
    <div c="stats">
      <Stat word="confirmed" value={of(confirmed, items)} share={percent(confirmed, items)} detail={`${percent(confirmed, items)}%`} />
      <Stat word="groupsReviewed" value={of(reviewed, groups)} share={percent(reviewed, groups)} detail={`${percent(reviewed, groups)}%`} />
      <Stat word="purity" value={purity ? `${whole(purity[0])}%` : "–"}
        detail={purity ? t("purityRange", { p: whole(purity[0]), low: whole(purity[1]), high: whole(purity[2]) }) : t("purityUnknown")} />
      <Stat word="questionsLeft" value={left == null ? "–" : `≈ ${count(left)}`} detail={t("fineToStop")} />
      <Stat word="answers" value={answers.reduce((sum, [, n]) => sum + n, 0).toLocaleString()}
        detail={answers.map(([kind, n]) => `${named("kind_", kind)} ${n}`).join(" · ")} />
      <Stat word="stillOpen" value={count(numbers.open)} detail={`${t("ignored")}: ${count(numbers.ignored)}`} />
    </div>
  );
}

function when(at: string): string {
  const date = new Date(at);
  return isNaN(date.getTime()) ? at : date.toLocaleString(language, { dateStyle: "short", timeStyle: "short" });
}

// A row of several changes is undone as a whole, the newest first.
const toUndo = (row: HistoryRow) =>
  (row.unfolds || [row]).filter((each) => !each.undone).map((each) => each.number);

function Row({ row, onUndo }: { row: HistoryRow; onUndo(...numbers: number[]): void }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <li cy="history-row" data-number={row.number} data-undone={row.undone}>
      <span c={`grow${row.undone ? " gone" : ""}`}>{row.text}</span>
      <span c="soft">{[row.by, when(row.at)].filter(Boolean).join(" · ")}</span>
      {!!row.unfolds?.length && <button aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>{t("unfold")}</button>}
      {row.undone ? <span c="soft">{t("undone")}</span> : <button onClick={() => onUndo(...toUndo(row))}>{t("undo")}</button>}
      {isOpen && <ol c="history">{row.unfolds!.map((each) => <Row key={each.number} row={each} onUndo={onUndo} />)}</ol>}
    </li>
  );
}

// Answers that cannot both be true, with both sides; who settles it undoes one of them, or corrects the images.
function Disputes({ n, onUndo }: { n: number; onUndo(number: number): void }) {
  const { session } = useDesk();
  const found = useRead<{ rows: Dispute[] }>(n ? "disputes" : null, { n: ROWS });
  if (!n || !found?.rows.length) return null;
  return (
    <>
      <h4>{t("disputes", { n })}</h4>
      <ol c="history">
        {found.rows.map(({ id, kind, about, items, pictures, sides, now }) => (
          <li key={id} cy="dispute">
            <b c="grow">{about} <span c="soft">{named("dispute_", kind)}</span></b>
            <Act word="openInGrid" onPress={() => void session.showInGrid({ items })} />
            <ul c="history">
              {sides.map((side, place) => (
                <li key={place}>
                  <span c="grow">{side.said}</span>
                  <span c="soft">{[side.by, when(side.at)].filter(Boolean).join(" · ")}</span>
                  {side.number != null && <Act word="undo" onPress={() => onUndo(side.number!)} />}
                </li>
              ))}
              <li>{t("now", { now })}</li>
            </ul>
            <div c="pictures">{pictures.slice(0, 8).map((picture) => <Thumb key={picture.id} picture={picture} size={84} />)}</div>
          </li>
        ))}
      </ol>
    </>
  );
}

export function Progress() {
  const { session } = useDesk();
  const { progress } = useStore(session);
  const [n, setN] = useState(ROWS);
  const history = useRead<{ rows: HistoryRow[]; can_redo: boolean }>("history", { n: Math.min(n, 200), skip: 0 });
  const undo = async (...numbers: (number | null)[]) => {
    for (const number of numbers) if (!(await session.edit("undo", { number }))) return;
  };
  useKeys((key) => {
    if (letter(key) === "u") return void undo(null), true;
    if (letter(key) === "r") return void session.edit("redo", {}), true;
    return false;
  });
  return (
    <>
      {progress && <Stats numbers={progress} />}
      {!!progress?.several && (
        <div c="bar" cy="several">
          <span>{t("several", { n: progress.several })}</span>
          <Act word="openInGrid" onPress={() => void session.showInGrid({ several: true })} />
        </div>
      )}
      <Disputes n={progress?.disputes || 0} onUndo={undo} />
      <div c="bar">
        <h4>{t("history")}</h4>
        <span c="grow" />
        <Act word="showAnswers" onPress={() => void session.showInGrid({ answers: true })} />
        <Act word="undo" k="u" disabled={!history?.rows.some((row) => !row.undone)} onPress={() => undo(null)} />
        <Act word="redo" k="r" disabled={!history?.can_redo} onPress={() => void session.edit("redo", {})} />
      </div>
      {!history?.rows.length && <div c="empty">{t(history ? "noHistory" : "loading")}</div>}
      {!!history?.rows.length && <ol c="history">{history.rows.map((row) => <Row key={row.number} row={row} onUndo={undo} />)}</ol>}
      {history && history.rows.length >= n && <Act word="more" onPress={() => setN(n + ROWS)} />}
    </>
  );
}
