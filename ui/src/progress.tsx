// The tab "Progress": how far it is, and everything that was changed, with an undo for each.
import { h, Fragment, useState } from "./react";
import { useDesk, useKeys } from "./desk";
import { letter } from "./keys";
import { Act, useRead } from "./parts";
import { useStore } from "./store";
import { language, named, percent, t, type Word } from "./words";
import type { HistoryRow, Progress as Numbers } from "./types";

const ROWS = 30;

function Stat({ word, value, share, detail }: { word: Word; value: string; share?: number; detail?: string }) {
  return (
    <div className="cr-stat">
      <span className="cr-soft">{t(word)}</span>
      <b>{value}</b>
      {share != null && <div className="cr-meter" aria-hidden><i style={{ width: `${share}%` }} /></div>}
      {detail && <span className="cr-soft">{detail}</span>}
    </div>
  );
}

function Stats({ numbers }: { numbers: Numbers }) {
  const { items, confirmed, groups, reviewed, purity, left } = numbers;
  const of = (n: number, whole: number) => `${n.toLocaleString()} / ${whole.toLocaleString()}`;
  const whole = (share: number) => (100 * share).toFixed(1);
  const answers = Object.entries(numbers.answers);
  return (
    <div className="cr-stats">
      <Stat word="confirmed" value={of(confirmed, items)} share={percent(confirmed, items)} detail={`${percent(confirmed, items)}%`} />
      <Stat word="groupsReviewed" value={of(reviewed, groups)} share={percent(reviewed, groups)} detail={`${percent(reviewed, groups)}%`} />
      <Stat word="purity" value={purity ? `${whole(purity[0])}%` : "–"}
        detail={purity ? t("purityRange", { p: whole(purity[0]), low: whole(purity[1]), high: whole(purity[2]) }) : t("purityUnknown")} />
      <Stat word="questionsLeft" value={left == null ? "–" : `≈ ${left.toLocaleString()}`} detail={t("fineToStop")} />
      <Stat word="answers" value={answers.reduce((sum, [, n]) => sum + n, 0).toLocaleString()}
        detail={answers.map(([kind, n]) => `${named("kind_", kind)} ${n}`).join(" · ")} />
      <Stat word="stillOpen" value={numbers.open.toLocaleString()} detail={`${t("ignored")}: ${numbers.ignored.toLocaleString()}`} />
    </div>
  );
}

function when(at: string): string {
  const date = new Date(at);
  return isNaN(date.getTime()) ? at : date.toLocaleString(language, { dateStyle: "short", timeStyle: "short" });
}

function Row({ row, onUndo }: { row: HistoryRow; onUndo(number: number): void }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <li data-cy="review-history-row" data-number={row.number} data-undone={row.undone}>
      <span className={`cr-grow${row.undone ? " cr-gone" : ""}`}>{row.text}</span>
      <span className="cr-soft">{[row.by, when(row.at)].filter(Boolean).join(" · ")}</span>
      {!!row.unfolds?.length && <button aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>{t("unfold")}</button>}
      {row.undone ? <span className="cr-soft">{t("undone")}</span> : <button onClick={() => onUndo(row.number)}>{t("undo")}</button>}
      {isOpen && <ol className="cr-history">{row.unfolds!.map((each) => <Row key={each.number} row={each} onUndo={onUndo} />)}</ol>}
    </li>
  );
}

export function Progress() {
  const { session } = useDesk();
  const { progress } = useStore(session);
  const [n, setN] = useState(ROWS);
  const history = useRead<{ rows: HistoryRow[]; can_redo: boolean }>("history", { n: Math.min(n, 200), skip: 0 });
  const undo = (number: number | null) => void session.edit("undo", { number });
  useKeys((key) => {
    if (letter(key) === "u") return undo(null), true;
    if (letter(key) === "r") return void session.edit("redo", {}), true;
    return false;
  });
  return (
    <>
      {progress && <Stats numbers={progress} />}
      <div className="cr-bar">
        <h4>{t("history")}</h4>
        <span className="cr-grow" />
        <Act word="showAnswers" onPress={() => void session.showInGrid({ answers: true })} />
        <Act word="undo" k="u" disabled={!history?.rows.some((row) => !row.undone)} onPress={() => undo(null)} />
        <Act word="redo" k="r" disabled={!history?.can_redo} onPress={() => void session.edit("redo", {})} />
      </div>
      {history && !history.rows.length && <div className="cr-empty">{t("noHistory")}</div>}
      {!!history?.rows.length && <ol className="cr-history">{history.rows.map((row) => <Row key={row.number} row={row} onUndo={undo} />)}</ol>}
      {history && history.rows.length >= n && <Act word="more" onPress={() => setN(n + ROWS)} />}
    </>
  );
}
