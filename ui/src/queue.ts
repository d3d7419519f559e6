// The questions that come next, and the answers that are on their way. An answer counts at once and is written in
// order; whatever cannot be written brings its question back, or puts it aside with the reason.
import { clocked, Problem, wait } from "./api";
import { halt } from "./keys";
import { Store } from "./store";
import { preload, url } from "./pictures";
import { remember, remembered, type Session } from "./session";
import type { Asked, Question, Said, Written } from "./types";

const AHEAD = 12;
const MOST_PENDING = 10;
const RETRY_MS = 2000;
const MOVES = ["same", "done", "pick", "new", "none", "two"]; // after these, other questions about the group are out of date

type Answer = {
  tab: string;
  by: string | null;
  question: string;
  kind: string;
  said: Said;
  marked: string[];
  name?: string;
  shown: unknown;
};
type Pending = { answer: Answer | null; question: Question | null; groups: string[] }; // without an answer: an undo
type Given = { question: Question; number: number | null };

type State = {
  questions: Question[];
  painted: string | null; // the question whose pictures are on the screen
  pending: Pending[];
  away: boolean; // the server does not answer
  early: number; // keys that came before their question
  aside: { question: Question | null; reason: string }[];
  done: string | null;
  isLoading: boolean;
  kinds: string[] | null;
  notice: { word: "lost" | "resent"; n: number } | null;
};

export function picturesOf(question: Question) {
  const sides = [...question.sides, ...question.tiles].flatMap((part) => part.pictures);
  return question.image ? [question.image, ...sides] : sides;
}

function groupsOf(question: Question): string[] {
  const sides = question.sides.filter((side) => side.id != null).map((side) => `g${side.id}`);
  return [...sides, ...question.tiles.map((tile) => tile.id), ...(question.image ? [question.image.id] : [])];
}

export class Queue extends Store<State> {
  private pressedAt = 0;
  private busy = false;
  private leaving = false;
  private readonly given: Given[] = [];

  constructor(readonly session: Session) {
    super({
      questions: [],
      painted: null,
      pending: [],
      away: false,
      early: 0,
      aside: [],
      done: null,
      isLoading: false,
      kinds: remembered<string[] | null>("kinds", null),
      notice: null,
    });
    this.restore();
    window.addEventListener("pagehide", () => this.close());
    window.addEventListener("beforeunload", (event) => {
      if (this.snapshot.pending.length) halt(event);
    });
  }

  async load(): Promise<void> {
    if (this.snapshot.isLoading) return;
    this.update({ isLoading: true });
    try {
      const { kinds } = this.snapshot;
      const { source } = this.session.api;
      const args = { tab: this.session.tabId, n: AHEAD, kinds, skip: this.skipped() };
      const asked = await this.session.read<Asked>("questions", args);
      this.update({ isLoading: false });
      if (kinds === this.snapshot.kinds && source === this.session.api.source) this.take(asked.questions, asked.done);
      else await this.load();
    } catch (problem) {
      this.update({ isLoading: false });
      this.session.fail(problem);
    }
  }

  // Something else is going to be reviewed: no key answers or undoes until then, and all that was said is sent before.
  async leave(): Promise<void> {
    this.leaving = true;
    while (this.snapshot.pending.length) await wait(50);
    this.given.length = 0;
  }

  choose(kinds: string[] | null): void {
    this.leaving = false;
    remember("kinds", kinds);
    this.update({ kinds, questions: [], painted: null, done: null });
    void this.load();
  }

  wasPainted(id: string): void {
    if (this.snapshot.questions[0]?.id !== id || this.snapshot.painted === id) return;
    this.update({ painted: id });
    if (this.pressedAt) clocked("next", this.pressedAt);
    this.pressedAt = 0;
  }

  // Whether the question on the screen can be answered now.
  get isReady(): boolean {
    const shown = this.snapshot.questions[0];
    return !!shown && !this.leaving && this.snapshot.painted === shown.id && this.snapshot.pending.length < MOST_PENDING;
  }

  answer(said: Said, marked: string[] = [], name?: string): void {
    if (!this.isReady) return this.update({ early: this.snapshot.early + 1 });
    const [question, ...rest] = this.snapshot.questions;
    const { id, kind, shown } = question;
    const by = this.session.snapshot.by || null;
    const answer = { tab: this.session.tabId, by, question: id, kind, said, marked, name, shown };
    const groups = MOVES.includes(said) ? groupsOf(question) : [];
    this.pressedAt = performance.now();
    this.push({ answer, question, groups }, rest.filter((each) => !groupsOf(each).some((group) => groups.includes(group))));
  }

  undo(): void {
    if (!this.leaving) this.push({ answer: null, question: null, groups: [] }, this.snapshot.questions);
  }

  // A question that was answered in another way.
  drop(question: Question): void {
    this.update({ questions: this.snapshot.questions.filter((each) => each !== question), painted: null });
    void this.load();
  }

  dismiss(at: number): void {
    this.update({ aside: this.snapshot.aside.filter((_, each) => each !== at) });
  }

  private push(pending: Pending, questions: Question[]): void {
    const painted = questions[0] === this.snapshot.questions[0] ? this.snapshot.painted : null;
    this.update({ questions, painted, pending: [...this.snapshot.pending, pending], early: 0 });
    this.keep();
    if (!questions.length) void this.load();
    void this.drain();
  }

  private async drain(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    while (this.snapshot.pending.length) {
      const first = this.snapshot.pending[0];
      try {
        await this.send(first);
        if (this.snapshot.away) this.update({ away: false });
      } catch (problem) {
        const { code } = problem as Problem;
        if (code === "unreachable" || code === "busy") {
          this.update({ away: code === "unreachable" });
          await wait(RETRY_MS);
          continue;
        }
        this.refused(first, problem as Problem);
      }
    }
    this.busy = false;
    if (this.snapshot.questions.length < 2 && !this.snapshot.done) void this.load();
  }

  private async send(pending: Pending): Promise<void> {
    if (!pending.answer) return this.sendUndo(pending);
    const { kinds } = this.snapshot;
    const args = { ...pending.answer, n: kinds ? 0 : AHEAD, skip: this.skipped() };
    const reply = await this.session.api.write<Written>("answer", args);
    this.settle(pending);
    if (pending.question) this.given.push({ question: pending.question, number: reply.number });
    this.session.written(reply);
    const next = Array.isArray(reply.questions) ? { questions: reply.questions, done: reply.done } : reply.questions;
    if (kinds || this.snapshot.kinds) await this.load(); // of these kinds only
    else if (next) this.take(next.questions, next.done ?? null);
  }

  private async sendUndo(pending: Pending): Promise<void> {
    const last = this.given[this.given.length - 1];
    const args = { number: last ? last.number : null }; // null: the last one, be it a change or not
    const reply = await this.session.api.write<Written>("undo", args);
    this.given.pop();
    this.settle(pending);
    this.session.written(reply);
    const rest = last ? this.snapshot.questions.filter((question) => question.id !== last.question.id) : [];
    this.update({ questions: last ? [last.question, ...rest] : rest, painted: null, done: null });
    await this.load();
  }

  private refused(pending: Pending, problem: Problem): void {
    this.settle(pending);
    const { question } = pending;
    if (!question || problem.code === "stale" || problem.code === "gone") {
      this.update({ aside: [...this.snapshot.aside.slice(-4), { question, reason: problem.message }] });
    } else {
      this.update({ questions: [question, ...this.snapshot.questions], painted: null });
      this.session.fail(problem);
    }
  }

  private settle(pending: Pending): void {
    this.update({ pending: this.snapshot.pending.filter((each) => each !== pending) });
    this.keep();
  }

  private skipped(): string[] {
    return this.snapshot.pending.flatMap((each) => (each.answer ? [each.answer.question] : []));
  }

  // The question on the screen stays; what comes after it is what the server ranks now.
  private take(asked: Question[], done: string | null): void {
    const [shown, ...old] = this.snapshot.questions;
    const skipped = this.skipped();
    const groups = this.snapshot.pending.flatMap((each) => each.groups);
    const isOpen = (question: Question) =>
      !skipped.includes(question.id) && !groupsOf(question).some((group) => groups.includes(group));
    const fresh = asked.filter((question) => question.id !== shown?.id && isOpen(question));
    const ids = fresh.map((question) => question.id);
    const tail = this.snapshot.pending.length ? old.filter((question) => !ids.includes(question.id)) : [];
    const questions = [...(shown ? [shown] : []), ...fresh, ...tail];
    questions.slice(0, AHEAD).forEach((question) => preload(picturesOf(question)));
    this.update({ questions, done: questions.length ? null : done });
  }

  // Answers survive a reload of the page.
  private keep(handed = false): void {
    const answers = this.snapshot.pending.flatMap((each) => (each.answer ? [each.answer] : []));
    remember(`pending-${this.session.dataset}`, { answers, handed });
  }

  private restore(): void {
    const kept = remembered(`pending-${this.session.dataset}`, { answers: [] as Answer[], handed: false });
    if (!kept.answers.length) return;
    this.update({ notice: { word: kept.handed ? "lost" : "resent", n: kept.answers.length } });
    const pending = kept.handed ? [] : kept.answers.map((answer) => ({ answer, question: null, groups: [] }));
    this.update({ pending });
    this.keep();
    void this.drain();
  }

  // The page is being closed: what is not kept yet goes as one batch that outlives the page. The first answer is on its
  // way, and may be cut off; the server knows one that comes twice.
  private close(): void {
    const answers = this.snapshot.pending.flatMap((each) => (each.answer ? [each.answer] : []));
    if (!answers.length && !this.snapshot.pending.length) return;
    this.keep(!this.snapshot.away);
    if (!answers.length || this.snapshot.away) return;
    const body = {
      operator_uri: this.session.api.uri,
      dataset_name: this.session.dataset,
      params: this.session.api.params("answers", {
        tab: this.session.tabId,
        by: this.session.snapshot.by || null,
        answers: answers.map(({ tab: _tab, by: _by, ...answer }) => answer),
      }),
    };
    void fetch(url("/").replace(/media\?.*/, "operators/execute"), {
      method: "POST",
      keepalive: true,
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    }).catch(() => undefined);
  }
}

const queues = new Map<Session, Queue>();

export function queueOf(session: Session): Queue {
  if (!queues.has(session)) queues.set(session, new Queue(session));
  return queues.get(session)!;
}
