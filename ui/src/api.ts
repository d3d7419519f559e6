// The one way to the server: the operator "review". Reading calls run side by side, writing ones in order.
import type { Action, Opened, Source, Work } from "./types";

export class Problem extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly action: Action | null = null,
    readonly reply: unknown = null, // "open" says what there is, whatever is wrong with it
  ) {
    super(message);
  }
}

const PATIENCE_MS = 90_000;
const POLL_MS = 700;
const times = (window.ccipReviewTimes = window.ccipReviewTimes || []);

export function clocked(what: string, began: number): void {
  times.push({ what, ms: performance.now() - began });
  if (times.length > 5000) times.splice(0, 1000);
}

export const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

// A problem without a sentence is put into words on the screen, by its code.
function problemOf(reply: OperatorReply): Problem | null {
  if (reply.error) {
    const text = String(reply.errorMessage || reply.error).trim();
    const lost = /fetch|network|load failed/i.test(text);
    return lost ? new Problem("unreachable", "") : new Problem("failed", text.split("\n").pop() || "");
  }
  const result = reply.result as { problem?: { code: string; message: string; action: Action | null } } | undefined;
  if (!result) return new Problem("failed", "");
  return result.problem ? new Problem(result.problem.code, result.problem.message, result.problem.action, result) : null;
}

function execute<T>(uri: string, params: { method: string }): Promise<T> {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const timer = setTimeout(() => reject(new Problem("unreachable", "")), PATIENCE_MS);
    const callback = (reply: OperatorReply) => {
      clearTimeout(timer);
      clocked(params.method, began);
      const problem = problemOf(reply);
      if (problem) reject(problem);
      else resolve(reply.result as T);
    };
    try {
      window.__foo__.executeOperator(uri, params, { callback, skipErrorNotification: true });
    } catch (error) {
      callback({ error }); // the App does not know the operator
    }
  });
}

export class Api {
  token: string | null = null;
  source: Source | null = null;
  onWork: (work: Work | null) => void = () => undefined;
  private tail: Promise<unknown> = Promise.resolve();

  constructor(
    readonly uri: string,
    readonly tab: string,
  ) {}

  read<T>(method: string, args: Record<string, unknown> = {}): Promise<T> {
    return execute<T>(this.uri, this.params(method, args));
  }

  async open(): Promise<Opened> {
    const opened = await this.read<Opened>("open", { tab: this.tab });
    this.token = opened.token;
    this.source = opened.source;
    return opened;
  }

  write<T>(method: string, args: Record<string, unknown>): Promise<T> {
    const next = this.tail.then(() => this.writeNow<T>(method, args));
    this.tail = next.catch(() => undefined);
    return next;
  }

  params(method: string, args: Record<string, unknown>) {
    return { method, args: this.source ? { source: this.source, ...args } : args, token: this.token };
  }

  private async writeNow<T>(method: string, args: Record<string, unknown>): Promise<T> {
    let reply;
    try {
      reply = await this.read<T & { work?: string }>(method, args);
    } catch (problem) {
      if ((problem as Problem).code !== "token") throw problem;
      await this.open(); // the server was started anew
      reply = await this.read<T & { work?: string }>(method, args);
    }
    return reply.work ? this.result<T>(reply.work) : reply;
  }

  private async result<T>(id: string): Promise<T> {
    try {
      for (;;) {
        const work = await this.read<Work & { problem?: unknown }>("work", { id });
        if (work.state === "done") return work.result as T;
        if (work.state !== "running") throw new Problem(work.state, work.text);
        this.onWork(work);
        await wait(POLL_MS);
      }
    } finally {
      this.onWork(null);
    }
  }
}
