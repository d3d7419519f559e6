// The tab "Questions": one decision a screen, one key, and the next one is there.
import { h, Fragment, focusOn, useCallback, useContext, useEffect, useLayoutEffect, useRef, useState } from "./react";
import { useDesk, useKeys } from "./desk";
import { NameDialog, type Chosen } from "./dialogs";
import { letter, SAID_KEYS, tileOf, TILE_KEYS, TILE_SECOND } from "./keys";
import { Act, Note } from "./parts";
import { Pictures, Thumb } from "./pictures";
import { picturesOf } from "./queue";
import { remember } from "./session";
import { useStore } from "./store";
import { digits, t, type Word } from "./words";
import type { Question, Said, Side, Tile } from "./types";

const KINDS = ["all", "same", "halves", "out", "in", "who", "whole"];
const PICTURES_MS = 3000; // a question counts as painted then, even if a picture still does not come
const TITLES: Record<string, Word> = {
  same: "ask_same", halves: "ask_halves", out: "ask_out", in: "ask_in", who: "ask_who", whole: "ask_whole",
};
const isPair = (question: Question) => ["same", "halves", "whole"].includes(question.kind);
const isStrip = (question: Question) => ["out", "in"].includes(question.kind);
const nameOf = (question: Question) => question.sides.find((side) => side.name)?.name || "?";

// Tells the queue when the question and its pictures are on the screen.
function usePainted(box: React.RefObject<HTMLDivElement>, id: string | undefined) {
  const { queue } = useDesk();
  useLayoutEffect(() => {
    if (!id) return undefined;
    let isCurrent = true;
    const painted = () => isCurrent && requestAnimationFrame(() => setTimeout(() => isCurrent && queue.wasPainted(id)));
    const images = [...(box.current?.querySelectorAll("img") || [])].filter((image) => !image.complete);
    let left = images.length;
    const arrived = () => --left <= 0 && painted();
    images.forEach((image) => ["load", "error"].forEach((event) => image.addEventListener(event, arrived, { once: true })));
    if (!left) painted();
    const timer = setTimeout(painted, PICTURES_MS);
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [queue, box, id]);
}

function SideBox({ side, size }: { side: Side; size: number }) {
  return (
    <section c="side" cy="side" data-id={side.id ?? undefined} label={side.name || undefined}>
      <div c="name">
        <b title={side.name || undefined}>{side.name || "?"}</b>
        <span c="size soft">{t("nImages", { n: side.size })}</span>
      </div>
      <div c="pictures">
        {side.pictures.map((picture) => <Thumb key={picture.id} picture={picture} size={size} eager />)}
      </div>
    </section>
  );
}

function TileBox({ tile, place, isMarked, isWho, onClick }: {
  tile: Tile;
  place: number;
  isMarked: boolean;
  isWho: boolean;
  onClick(): void;
}) {
  const key = TILE_KEYS[place];
  const name = tile.name || tile.pictures[0]?.name || tile.id;
  return (
    <button c="tile" aria-pressed={isMarked} label={`${key}: ${name}`} title={`${key} · ${TILE_SECOND[place]}`}
      cy="tile" data-id={tile.id} data-marked={isMarked} onClick={onClick}>
      <kbd>{key}</kbd>
      <span c="pictures">
        {tile.pictures.slice(0, isWho ? 4 : 3).map((picture) => <Thumb key={picture.id} picture={picture} size={isWho ? 104 : 92} eager />)}
      </span>
      <span c="meta">
        {tile.name} {tile.size > 1 && t("nImages", { n: tile.size })} {!isWho && digits(tile.pictures[0]?.difference)}
      </span>
    </button>
  );
}

function Keys({ question, isWaiting, onSay }: { question: Question; isWaiting: boolean; onSay(said: string): void }) {
  const own: [string, string, Word][] = isPair(question)
    ? [["y", "same", question.kind === "whole" ? "yes" : "same"], ["n", "different", question.kind === "whole" ? "no" : "different"]]
    : isStrip(question)
      ? [["Enter", "done", "done"]]
      : [["n", "new", "new"], ["0", "none", "none"]];
  const two: [string, string, Word][] = question.kind === "who" ? [["t", "two", "two"]] : [];
  const rest: [string, string, Word][] = [["?", "unsure", "unsure"], ["s", "later", "later"], ["u", "undo", "undo"], ["o", "show", "openInGrid"], ["␣", "space", "largePicture"]];
  return (
    <div c={`keys${isWaiting ? " wait" : ""}`} cy="keys" data-waiting={isWaiting}>
      {[...own, ...two, ...rest].map(([key, said, word], place) => (
        <Act key={said} word={word} k={key} cy={said} isMain={place < own.length} onPress={() => onSay(said)} />
      ))}
    </div>
  );
}

// What a key says to a question; null: nothing.
function meaning(key: string, question: Question): string | null {
  const name = letter(key);
  if (name === "u" || key === "Backspace") return "undo";
  if (name === "o") return "show";
  if (isStrip(question)) return key === "Enter" ? "done" : "yn".includes(name) ? null : SAID_KEYS[name] || null;
  if (question.kind !== "who") return SAID_KEYS[name] || null;
  const who: Record<string, string> = { n: "new", "0": "none", x: "none", t: "two", y: "" };
  return who[name] ?? SAID_KEYS[name] ?? null;
}

function Asked({ question }: { question: Question }) {
  const { session, queue, ask } = useDesk();
  const { looks } = useContext(Pictures);
  const { painted, early, pending } = useStore(queue);
  const [marked, setMarked] = useState<string[]>([]);
  const [isSure, setSure] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const isWaiting = painted !== question.id || !queue.isReady;
  usePainted(box, question.id);
  // Somebody new, unless a name was chosen that there is already.
  const takeNew = async ({ id, name }: Chosen) => {
    if (id == null) return queue.answer("new", [], name || undefined);
    if (question.tiles.some((tile) => tile.id === `g${id}`)) return queue.answer("pick", [`g${id}`]);
    if (await session.edit("move", { items: [question.image!.id], to: id })) queue.drop(question);
  };
  const say = useCallback((said: string) => {
    if (said === "undo") return queue.undo();
    if (said === "show") {
      const groups = question.sides.flatMap((side) => (side.id == null ? [] : [side.id]));
      const items = [...(question.image ? [question.image.id] : []), ...question.tiles.flatMap((tile) => tile.pictures.map((each) => each.id))];
      return void session.showInGrid(isStrip(question) || !groups.length ? { items } : { groups });
    }
    if (said === "space") return looks.toggle(picturesOf(question)[0]);
    if (said === "same" && question.warning && !isSure && queue.isReady) return setSure(true);
    if (said === "new" && queue.isReady) {
      return ask(<NameDialog title={t("newTitle")} ok={t("new")} isNew onChosen={(to) => takeNew(to)} />);
    }
    queue.answer(said as Said, said === "done" ? marked : []);
  }, [queue, session, looks, ask, question, marked, isSure]);
  const tap = (tile: Tile) => {
    if (question.kind === "who") return queue.answer("pick", [tile.id]);
    setMarked((old) => (old.includes(tile.id) ? old.filter((each) => each !== tile.id) : [...old, tile.id]));
  };
  useKeys((key) => {
    const tile = tileOf(key, question.tiles.length);
    const said = meaning(key, question);
    if (isSure && said !== "same" && key !== " ") return setSure(false), true; // anything else is "no, go on"
    if (said) return say(said), true;
    if (tile >= 0) return tap(question.tiles[tile]), true;
    return false;
  });
  const facts = [
    question.difference != null && t("difference", { d: digits(question.difference), limit: digits(question.limit) }),
    question.gain >= 0.5 && t("upTo", { n: Math.round(question.gain) }),
    question.keeps && t("keeps", { name: question.keeps }),
  ].filter(Boolean).join(" · ");
  return (
    <div ref={box} c="question" cy="question" data-id={question.id} data-kind={question.kind} data-painted={painted === question.id}>
      <div c="ask">
        <h2 aria-live="polite">{t(TITLES[question.kind], { name: nameOf(question) })}</h2>
        <span c="soft">{facts}</span>
        {isStrip(question) && <span c="soft">{t("askHint")}</span>}
      </div>
      <div c="sides">{question.sides.map((side, place) => <SideBox key={place} side={side} size={isStrip(question) ? 84 : 132} />)}</div>
      <div c="with">
        {question.image && <Thumb picture={question.image} size={190} eager />}
        <div c={`tiles${question.kind === "who" ? " who" : ""}`}>
          {question.tiles.map((tile, place) => (
            <TileBox key={tile.id} tile={tile} place={place} isMarked={marked.includes(tile.id)} isWho={question.kind === "who"} onClick={() => tap(tile)} />
          ))}
        </div>
      </div>
      {question.warning && (
        <Note cy="warning" isPlain={!isSure}>
          {question.warning} {isSure && <b>{t("sureWarning", { key: "y" })}</b>}
        </Note>
      )}
      {early > 0 && (
        <div key={early} c="soft flash" cy="early" role="status">
          {pending.length > 9 ? t("waitForServer", { n: pending.length }) : t("early")}
        </div>
      )}
      <Keys question={question} isWaiting={isWaiting} onSay={say} />
    </div>
  );
}

function Asides() {
  const { queue, session } = useDesk();
  const { aside } = useStore(queue);
  const show = (question: Question | null) => {
    const groups = question?.sides.flatMap((side) => (side.id == null ? [] : [side.id]));
    if (groups?.length) void session.showInGrid({ groups });
  };
  return (
    <>
      {aside.map(({ question, reason }, place) => (
        <Note key={place} cy="aside" onClose={() => queue.dismiss(place)}
          buttons={!!question?.sides.length && <Act word="openInGrid" onPress={() => show(question)} />}>
          {t("aside", { reason: reason || t("problem_stale") })}
        </Note>
      ))}
    </>
  );
}

export function Questions() {
  const { queue, root, session } = useDesk();
  const { questions, kinds, done, isLoading, pending, early } = useStore(queue);
  const [question] = questions;
  useEffect(() => queue.choose(queue.snapshot.kinds), [queue]); // groups may have been edited elsewhere
  useKeys((key) => {
    if (question || letter(key) !== "u") return false;
    queue.undo();
    return true;
  });
  const choose = (value: string) => {
    queue.choose(value === "all" ? null : [value]);
    focusOn(root.current);
  };
  const showOpen = () => {
    remember("groups", { show: "open" });
    session.show("groups");
  };
  const isComing = isLoading || (!!pending.length && !done);
  return (
    <>
      <div c="bar">
        <label>
          {t("kinds")}
          <select value={kinds?.[0] || "all"} cy="kinds" onChange={(event) => choose(event.target.value)}>
            {KINDS.map((kind) => <option key={kind} value={kind}>{t(`kind_${kind}` as Word)}</option>)}
          </select>
        </label>
      </div>
      <Asides />
      {question ? <Asked key={question.id} question={question} /> : (
        <div c="empty" cy="empty" role="status">
          <b>{isComing ? t("nextComing") : t("nothing")}</b>
          {!isComing && done && <span>{done}</span>}
          {early > 0 && <span>{t("early")}</span>}
          {!isComing && <Act word="notReviewed" isMain onPress={showOpen} />}
          {!isComing && <Act word="undo" k="u" onPress={() => queue.undo()} />}
        </div>
      )}
    </>
  );
}
