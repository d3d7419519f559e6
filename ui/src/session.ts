// What one dataset's review knows in this tab of the browser; all tabs of the panel share it.
import { Api, Problem } from "./api";
import { Store } from "./store";
import type { Opened, Progress, Source, Work, Written } from "./types";

export type Tab = "groups" | "questions" | "progress" | "image";

type State = {
  opened: Opened | null;
  progress: Progress | null;
  problem: Problem | null; // stays until it is read
  text: string; // what was done last
  work: Work | null;
  version: number; // counts what was written: lists that show labels are read anew
  tab: Tab;
  sample: string | null; // open in the App, or selected last
  by: string | null; // null: not asked yet
};

const MEMORY = "ccip-review";

// What this tab of the browser remembers until it is closed; without storage it remembers nothing.
export function remembered<T>(name: string, otherwise: T): T {
  try {
    return JSON.parse(sessionStorage.getItem(`${MEMORY}-${name}`) || "") as T;
  } catch {
    return otherwise;
  }
}

export function remember(name: string, value: unknown): void {
  try {
    sessionStorage.setItem(`${MEMORY}-${name}`, JSON.stringify(value));
  } catch {
    // full or forbidden
  }
}

function storedName(): string | null {
  try {
    return localStorage.getItem(`${MEMORY}-by`);
  } catch {
    return "";
  }
}

function idOfTab(): string {
  const id = remembered("tab-id", "") || `${Date.now().toString(36)}${Math.random().toString(36).slice(2, 10)}`;
  remember("tab-id", id);
  return id;
}

export class Session extends Store<State> {
  readonly api: Api;

  constructor(
    uri: string,
    readonly dataset: string,
  ) {
    super({
      opened: null,
      progress: null,
      problem: null,
      text: "",
      work: null,
      version: 0,
      tab: remembered<Tab>("tab", "groups"),
      sample: null,
      by: storedName(),
    });
    this.api = new Api(uri, idOfTab());
    this.api.source = remembered<Source | null>(`source-${dataset}`, null);
    this.api.onWork = (work) => this.update({ work });
  }

  get tabId(): string {
    return this.api.tab;
  }

  async open(source?: Source): Promise<void> {
    this.api.source = source || this.api.source;
    try {
      const opened = await this.api.open();
      remember(`source-${this.dataset}`, opened.source);
      this.update({ opened, progress: opened.progress, problem: null, version: this.snapshot.version + 1 });
    } catch (problem) {
      if (!source && this.api.source && (problem as Problem).code !== "unreachable") {
        this.api.source = null; // the field that was reviewed last is not there any more
        return this.open();
      }
      const opened = (problem as Problem).reply as Opened | null;
      this.update({ opened: opened?.sources ? opened : null });
      this.fail(problem);
    }
  }

  readonly fail = (problem: unknown) => {
    const known = problem instanceof Problem ? problem : new Problem("failed", String((problem as Error)?.message || ""));
    this.update({ problem: known });
  };

  show(tab: Tab): void {
    remember("tab", tab);
    this.update({ tab });
  }

  sign(by: string): void {
    try {
      localStorage.setItem(`${MEMORY}-by`, by);
    } catch {
      // asked again next time
    }
    this.update({ by });
  }

  note(reply: { progress?: Progress }): void {
    if (reply.progress) this.update({ progress: reply.progress });
  }

  async read<T extends { progress?: Progress }>(method: string, args: Record<string, unknown>): Promise<T> {
    const reply = await this.api.read<T>(method, args);
    this.note(reply);
    return reply;
  }

  // An edit: what it did is said, what went wrong is shown. Gives null where it was not done.
  async edit(method: string, args: Record<string, unknown>): Promise<Written | null> {
    try {
      const reply = await this.api.write<Written>(method, { by: this.snapshot.by || null, ...args });
      this.written(reply);
      return reply;
    } catch (problem) {
      this.fail(problem);
      return null;
    }
  }

  written(reply: Written): void {
    const text = [reply.text, ...(reply.left || [])].filter(Boolean).join(" ");
    const progress = reply.progress || this.snapshot.progress;
    this.update({ progress, text, problem: null, version: this.snapshot.version + 1 });
  }

  // The App's view; a reading call, since it changes no data.
  async showInGrid(what: Record<string, unknown>): Promise<void> {
    try {
      await this.api.read("show", what);
    } catch (problem) {
      this.fail(problem);
    }
  }
}

const sessions = new Map<string, Session>();

export function sessionOf(uri: string, dataset: string): Session {
  const key = `${uri} ${dataset}`;
  if (!sessions.has(key)) sessions.set(key, new Session(uri, dataset));
  return sessions.get(key)!;
}
