// Which of the controls that were handed over any script listens to, on the control, above it or on its form.
// `getEventListeners` is of the browser's command line: it knows listeners however they were added.
(() => {
  // Nothing that a person does to a control causes these.
  const APART = new Set(
    ('load loadstart unload beforeunload DOMContentLoaded readystatechange pageshow pagehide visibilitychange freeze ' +
      'resume resize scroll scrollend message messageerror storage popstate hashchange online offline error ' +
      'unhandledrejection rejectionhandled transitionrun transitionstart transitionend transitioncancel ' +
      'animationstart animationend animationiteration animationcancel beforeprint afterprint languagechange ' +
      'securitypolicyviolation').split(' '));
  const key = Symbol.for('discovery.listeners');
  const elements = window[key];
  delete window[key];
  const known = new Map();
  const isCaused = (node) => Object.keys(getEventListeners(node)).some((type) => !APART.has(type));
  // Who clicks for us listens on the window from the first click on, so what counts is what stood there before.
  const before = Symbol.for('discovery.window');
  if (!(before in window)) Object.defineProperty(window, before, { value: isCaused(window) });
  const listens = (node) => {
    if (!known.has(node)) known.set(node, node === window ? window[before] : isCaused(node));
    return known.get(node);
  };
  const above = (node) => node.assignedSlot ?? node.parentNode ?? node.host ?? (node === document ? window : null);
  const isHeeded = (first) => {
    for (let node = first; node; node = above(node)) if (listens(node)) return true;
    return false;
  };
  // Without any listener a folded part opens, a popover shows and a script's address runs.
  const acts = (element) =>
    element.localName === 'summary' || /^\s*javascript:/i.test(element.getAttribute('href') ?? '') ||
    ['popovertarget', 'commandfor', 'command'].some((name) => element.hasAttribute(name));
  const isOf = (element) => acts(element) || isHeeded(element) || Boolean(element.form && isHeeded(element.form));
  return JSON.stringify(elements.map(isOf));
})()
