// Hooks that several views need.

import { useEffect, useRef, useState } from "./html.js";

/** Draw the component again every so many seconds, for ages and countdowns. @param {number} seconds */
export function useTick(seconds) {
  const [, setTurn] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) setTurn((n) => n + 1);
    }, 1000 * seconds);
    return () => clearInterval(timer);
  }, [seconds]);
}

/** The value, but changed at most once in so many milliseconds. */
export function useThrottled(value, milliseconds) {
  const [shown, setShown] = useState(value);
  const last = useRef(0);
  useEffect(() => {
    const wait = Math.max(0, last.current + milliseconds - performance.now());
    const timer = setTimeout(() => {
      last.current = performance.now();
      setShown(value);
    }, wait);
    return () => clearTimeout(timer);
  }, [value]);
  return shown;
}

/** Set the title of the page while the component is there. @param {string} text */
export function useTitle(text) {
  useEffect(() => {
    document.title = `${text} · Dsiem Shards`;
  }, [text]);
}
