// The App's own React: the import is of types only.
import type * as R from "react";

export const React: typeof R = window.React;
export const { Fragment, createContext, useCallback, useContext, useEffect, useLayoutEffect, useMemo, useRef, useState } = React;

// An element. Those of HTML have `c` for the classes of this panel and `cy` for the name by which tests find them.
export function h(type: any, props?: any, ...children: any[]): R.ReactElement {
  const { c, cy, ...rest } = props || {};
  if (typeof type !== "string") return React.createElement(type, props, ...children);
  if (c) rest.className = `cr-${c.replaceAll(" ", " cr-")}`;
  if (cy) rest["data-cy"] = `review-${cy}`;
  return React.createElement(type, rest, ...children);
}

// The focus, without a jump of the page.
export const focusOn = (element?: Element | null) => (element as HTMLElement | null)?.focus({ preventScroll: true });

export type { ReactNode, RefObject } from "react";
