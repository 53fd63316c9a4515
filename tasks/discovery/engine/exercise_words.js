// What may be worth typing: the texts of what is listed, and whether any script can answer.
() => {
  const ITEMS = 'li,td,article,h2,h3,h4,[role=listitem],[role=option],dt';
  const IGNORED = 'nav,header,footer,[role=navigation],form';
  const texts = [...document.querySelectorAll(ITEMS)]
    .filter((element) => !element.closest(IGNORED) && !element.querySelector(ITEMS))
    .slice(0, 200)
    .map((element) => (element.textContent || '').slice(0, 200));
  const isScript = (script) => !script.type || script.type === 'module' || script.type.includes('javascript');
  const hasScripts =
    [...document.scripts].some(isScript) ||
    document.querySelector('[onclick],[oninput],[onchange],[onkeyup],[onkeydown],[onsubmit]') !== null;
  return { texts, title: document.title.slice(0, 200), has_scripts: hasScripts };
}
