// The App's own React: the import is of types only.
import type * as R from "react";

export const React: typeof R = window.React;
export const { createElement: h, Fragment, createContext, useCallback, useContext, useEffect, useLayoutEffect, useMemo, useRef, useState } = React;
export type { ReactNode, RefObject } from "react";
