// Sentences that stay until they are read: what is wrong, with the button that helps, and what one should know.
import { h, Fragment, focusOn, useState } from "./react";
import { halt } from "./keys";
import { useDesk, useKeys } from "./desk";
import { Act, Note } from "./parts";
import { useStore } from "./store";
import { count, named, t } from "./words";

export function Problems() {
  const { session, queue } = useDesk();
  const { problem, opened } = useStore(session);
  const { away } = useStore(queue);
  if (away) return <Note cy="problem" code="unreachable">{t("away")}</Note>;
  if (!problem || (opened && !opened.source && opened.sources.length > 1)) return null; // then the choice is offered
  const { action, code } = problem;
  const act = () => {
    session.update({ problem: null });
    if (!action) return void session.open();
    const { operator, params } = action;
    if (!operator.includes("/")) void session.edit(operator, params); // a method of the panel
    else window.__foo__.executeOperator(operator, params, { callback: () => void session.open(), skipErrorNotification: false });
  };
  return (
    <Note cy="problem" code={code} onClose={opened ? () => session.update({ problem: null }) : undefined}
      buttons={(action || !opened || code === "unreachable") && <Act word="tryAgain" cy="help" text={action?.label} onPress={act} />}>
      {problem.message || named("problem_", code)}
    </Note>
  );
}

// What can be reviewed, where there is more than one thing: in a list, or first of all as buttons.
export function SourceChoice() {
  const { session, queue } = useDesk();
  const { opened } = useStore(session);
  const sources = opened?.sources || [];
  const at = sources.findIndex((each) => each.group_field === opened?.source?.group_field && each.patches_field === opened.source.patches_field);
  const choose = async (place: number) => {
    const { group_field, patches_field } = sources[place];
    await queue.leave();
    await session.open({ group_field, patches_field });
    queue.choose(queue.snapshot.kinds);
  };
  const isOpen = !!opened && !opened.source;
  useKeys((key) => isOpen && !!sources[Number(key) - 1] && (void choose(Number(key) - 1), true));
  if (sources.length < 2) return null;
  const texts = sources.map(({ group_field: field, patches_field: patches, n_items: n }) =>
    patches ? t("ofDetections", { field, patches, n }) : t("ofImages", { field, n }),
  );
  if (isOpen) {
    return (
      <div c="empty" cy="choose">
        <b>{t("problem_choose")}</b>
        {texts.map((text, place) => <Act key={place} word="source" cy={`choose-${place}`} text={text} k={`${place + 1}`} onPress={() => void choose(place)} />)}
      </div>
    );
  }
  return (
    <label c="source">
      <span c="soft">{t("source")}</span>
      <select value={at} cy="source" onChange={(event) => void choose(Number(event.target.value))}>
        {texts.map((text, place) => <option key={place} value={place}>{text}</option>)}
      </select>
    </label>
  );
}

function Signature() {
  const { session, root } = useDesk();
  const [name, setName] = useState("");
  const sign = (value: string) => {
    session.sign(value.trim());
    focusOn(root.current);
  };
  return (
    <form c="note" cy="by" onSubmit={(event) => {
      halt(event);
      sign(name);
    }}>
      <span>{t("yourName")}</span>
      <input value={name} maxLength={80} label={t("yourName")} onChange={(event) => setName(event.target.value)} />
      <button type="submit">{t("keepName")}</button>
      <button type="button" onClick={() => sign("")}>{t("noName")}</button>
    </form>
  );
}

function Working() {
  const { session } = useDesk();
  const { work } = useStore(session);
  if (!work) return null;
  const cancel = () => void session.api.read("cancel", { id: work.id }).catch(session.fail);
  return (
    <Note cy="work" isPlain buttons={<Act word="cancel" onPress={cancel} />}>
      {work.text} {work.total > 0 && `${count(work.done)} / ${count(work.total)}`}
    </Note>
  );
}

export function Notices({ hash }: { hash?: string }) {
  const { session, queue } = useDesk();
  const { opened, by } = useStore(session);
  const { notice } = useStore(queue);
  const served = opened?.sources_hash || hash;
  const plain = [opened?.is_view && t("followsDataset"), opened?.by_hand && t("byHand", { n: opened.by_hand })].filter(Boolean);
  return (
    <>
      {served && served !== SOURCES && (
        <Note cy="updated" buttons={<Act word="reload" onPress={() => window.location.reload()} />}>{t("updated")}</Note>
      )}
      {notice && (
        <Note cy="notice" onClose={() => queue.update({ notice: null })}>{t(notice.word, { n: notice.n })}</Note>
      )}
      {plain.map((sentence) => <Note key={String(sentence)} isPlain>{sentence}</Note>)}
      {opened && by == null && <Signature />}
      {opened?.source && <SourceChoice />}
      <Working />
    </>
  );
}
