// The panel: tabs, how far it is, what is wrong, and the screen of the tab.
import { h, focusOn, useCallback, useEffect, useMemo, useRef, useState } from "./react";
import { clocked } from "./api";
import { Notices, Problems, SourceChoice } from "./notices";
import { DeskContext, type Desk } from "./desk";
import { Groups } from "./groups";
import { Image, useCurrentSample } from "./image";
import { halt, isForUs, isOnButton, letter } from "./keys";
import { Large, Looks, Makings, Pictures, preload } from "./pictures";
import { Progress } from "./progress";
import { Questions } from "./questions";
import { picturesOf, queueOf } from "./queue";
import { sessionOf, type Session, type Tab } from "./session";
import { useStore } from "./store";
import { isReady, named, t, type Word } from "./words";
import type { ReactNode } from "./react";

const TABS: [Tab, Word, string][] = [
  ["groups", "groups", "g"],
  ["questions", "questions", "q"],
  ["progress", "progress", "p"],
  ["image", "thisImage", ""],
];
const SAID_MS = 8000;
const SCREENS = { groups: Groups, questions: Questions, progress: Progress, image: Image };

function Head({ session, isOn, desk }: { session: Session; isOn: boolean; desk: Desk }) {
  const { tab, progress, text, version } = useStore(session);
  const { pending } = useStore(desk.queue);
  useEffect(() => {
    const timer = setTimeout(() => session.update({ text: "" }), SAID_MS); // the history keeps it
    return () => clearTimeout(timer);
  }, [session, text, version]);
  const choose = (name: Tab) => {
    session.show(name);
    focusOn(desk.root.current);
  };
  const step = (event: React.KeyboardEvent) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    halt(event);
    event.stopPropagation();
    const [name] = TABS[(TABS.findIndex((each) => each[0] === tab) + by + TABS.length) % TABS.length];
    session.show(name);
    requestAnimationFrame(() => focusOn(desk.root.current?.querySelector(`[data-cy=review-tab-${name}]`)));
  };
  return (
    <div c="head">
      <div role="tablist" label={t("review")} onKeyDown={step}>
        {TABS.map(([name, word, key]) => (
          <button key={name} role="tab" aria-selected={tab === name} tabIndex={tab === name ? 0 : -1} cy={`tab-${name}`} onClick={() => choose(name)}>
            {t(word)}{key && <kbd>{key}</kbd>}
          </button>
        ))}
      </div>
      <div c="right-end">
        <span cy="unsaved" data-n={pending.length} aria-live="polite">
          {pending.length ? t("saving", { n: pending.length }) : t("kept")}
        </span>
        <span cy="keys-on" data-on={isOn}>{isOn ? t("keysOn") : t("keysOff")}</span>
      </div>
      <div c="facts">
        <span c="said" role="status" cy="said" title={text}>{text}</span>
        {progress && (
          <span cy="progress" data-revision={progress.revision} data-confirmed={progress.confirmed} data-groups={progress.groups}>
            {t("summary", { confirmed: progress.confirmed, items: progress.items, noun: named("", progress.noun) })}
            {progress.left != null && ` · ${t("left", { n: progress.left })}`}
          </span>
        )}
      </div>
    </div>
  );
}

// Pictures of the next questions are fetched while another tab is looked at, too.
function useOpening(session: Session, desk: Desk): void {
  useEffect(() => {
    const began = performance.now();
    void session.open().then(() => clocked("opened", began));
    desk.queue.snapshot.questions.forEach((question) => preload(picturesOf(question)));
  }, [session, desk.queue]);
}

function Review({ session, hash }: { session: Session; hash?: string }) {
  const root = useRef<HTMLDivElement>(null);
  const [dialog, ask] = useState<ReactNode>(null);
  const [isOn, setOn] = useState(false);
  const queue = queueOf(session);
  const { tab, opened } = useStore(session);
  const desk = useMemo(() => ({ session, queue, root, ask }), [session, queue]);
  const pictures = useMemo(() => ({ makings: new Makings(session), looks: new Looks({ look: null }) }), [session]);
  useOpening(session, desk);
  useCurrentSample(session);
  useEffect(() => focusOn(root.current), [tab]);
  const onKeyDown = useCallback((event: React.KeyboardEvent) => {
    const { nativeEvent } = event;
    if (nativeEvent.defaultPrevented || !isForUs(nativeEvent) || isOnButton(nativeEvent)) return;
    const [shown] = queue.snapshot.questions;
    const next = TABS.find(([, , key]) => key && key === letter(event.key));
    if (event.key === " ") pictures.looks.toggle(session.snapshot.tab === "questions" && shown ? picturesOf(shown)[0] : null);
    else if (event.key === "Escape" && pictures.looks.snapshot.look) pictures.looks.close();
    else if (next) session.show(next[0]);
    else return;
    halt(event);
    event.stopPropagation();
  }, [session, queue, pictures]);
  // After a click keys are for the panel, not for the button that was clicked, which may be gone by now.
  const refocus = (event: React.MouseEvent) => {
    if (event.detail && !(event.target as HTMLElement).closest("input, select, [role=dialog], [role=option]")) {
      focusOn(root.current);
    }
  };
  const Screen = SCREENS[tab] || Groups;
  return (
    <DeskContext.Provider value={desk}>
      <Pictures.Provider value={pictures}>
        <div ref={root} className={`cr${isOn ? " cr-on" : ""}`} tabIndex={0} data-cy="review" role="region" label={t("review")}
          onKeyDown={onKeyDown} onClick={refocus} onFocus={() => setOn(true)}
          onBlur={(event) => event.currentTarget.contains(event.relatedTarget) || setOn(false)}>
          <Head session={session} isOn={isOn} desk={desk} />
          <Problems />
          <Notices hash={hash} />
          <div c="body" role="tabpanel">{opened?.source ? <Screen key={JSON.stringify(opened.source)} /> : <SourceChoice />}</div>
          <Large />
          {dialog}
        </div>
      </Pictures.Provider>
    </DeskContext.Provider>
  );
}

export function Panel(props: { schema?: { view?: { operator?: string; sources_hash?: string } } }) {
  const dataset = window.recoil.useRecoilValue<string>(window.__fos__.datasetName);
  const view = props.schema?.view || {};
  const [isDrawn, setDrawn] = useState(false);
  useEffect(() => void isReady.then(() => setDrawn(true)), []);
  const session = sessionOf(view.operator || "@ccip/characters/review", dataset || "");
  return isDrawn && <Review key={dataset} session={session} hash={view.sources_hash} />;
}
