// The App's own React: the import is of types only.
import type * as R from "react";

export const React: typeof R = window.React;
export const { Fragment, createContext, useCallback, useContext, useEffect, useLayoutEffect, useMemo, useRef, useState } = React;

// An element. Those of HTML have `c` for the classes of this panel, `cy` for the name by which tests find them, and
// `label` for what screen readers say.
export function h(type: any, props?: any, ...children: any[]): R.ReactElement {
  const { c, cy, label, ...rest } = props || {};
  if (typeof type !== "string") return React.createElement(type, props, ...children);
  if (c) rest.className = `cr-${c.replaceAll(" ", " cr-")}`;
  if (label) rest["aria-label"] = label;
  if (cy) rest["data-cy"] = `review-${cy}`;
  return React.createElement(type, rest, ...children);
}

// The focus, without a jump of the page.
export const focusOn = (element?: Element | null) => (element as HTMLElement | null)?.focus({ preventScroll: true });

export type { ReactNode, RefObject } from "react";
