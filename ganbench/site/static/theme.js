"use strict";
// Before anything is drawn: the table library takes its dark colours from this attribute.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const set = () => { document.documentElement.dataset.theme = dark.matches ? "dark" : "light"; };
  dark.addEventListener("change", set);
  set();
})();
