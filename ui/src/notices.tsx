// Sentences that stay until they are read: what is wrong, with the button that helps, and what one should know.
import { h, Fragment, focusOn, useState } from "./react";
import { useDesk } from "./desk";
import { Act, Note } from "./parts";
import { useStore } from "./store";
import { named, t } from "./words";
import type { Source } from "./types";

export function Problems() {
  const { session, queue } = useDesk();
  const { problem, opened } = useStore(session);
  const { away } = useStore(queue);
  if (away) return <Note cy="problem" code="unreachable">{t("away")}</Note>;
  if (!problem) return null;
  const { action, code } = problem;
  const act = () => {
    session.set({ problem: null });
    if (!action) return void session.open();
    const { operator, params } = action;
    if (!operator.includes("/")) void session.edit(operator, params); // a method of the panel
    else window.__foo__.executeOperator(operator, params, { callback: () => void session.open(), skipErrorNotification: false });
  };
  return (
    <Note cy="problem" code={code} onClose={opened ? () => session.set({ problem: null }) : undefined}
      buttons={(action || !opened || code === "unreachable") && <Act word="tryAgain" cy="help" text={action?.label} onPress={act} />}>
      {problem.message || named("problem_", code)}
    </Note>
  );
}

function SourceChoice() {
  const { session, queue } = useDesk();
  const { opened } = useStore(session);
  if (!opened || opened.sources.length < 2) return null;
  const key = (source: Source) => JSON.stringify([source.group_field, source.patches_field]);
  const choose = (value: string) => {
    const source = opened.sources.find((each) => key(each) === value);
    if (!source) return;
    const { group_field, patches_field } = source;
    void session.open({ group_field, patches_field }).then(() => queue.choose(queue.state.kinds));
  };
  return (
    <label c="bar">
      <span c="soft">{t("source")}</span>
      <select value={opened.source ? key(opened.source) : ""} cy="source" onChange={(event) => choose(event.target.value)}>
        {opened.sources.map((source) => <option key={key(source)} value={key(source)}>{source.label} ({source.n_items.toLocaleString()})</option>)}
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
      event.preventDefault();
      sign(name);
    }}>
      <span>{t("yourName")}</span>
      <input value={name} maxLength={80} aria-label={t("yourName")} onChange={(event) => setName(event.target.value)} />
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
      {work.text} {work.total > 0 && `${work.done.toLocaleString()} / ${work.total.toLocaleString()}`}
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
        <Note cy="notice" onClose={() => queue.set({ notice: null })}>{t(notice.word, { n: notice.n })}</Note>
      )}
      {plain.map((sentence) => <Note key={String(sentence)} isPlain>{sentence}</Note>)}
      {opened && by == null && <Signature />}
      <SourceChoice />
      <Working />
    </>
  );
}
