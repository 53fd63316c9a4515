// Lists the controls of a document that a person might try, shadow roots included, in the order of the document.
// Returns {elements, facts}, parallel; facts are plain values for `safe_controls.Candidate`.
() => {
  const MAX_CONTROLS = 400;
  const MAX_CHARS = 200;
  const WANTED =
    'input,select,summary,button,[role=button],[role=tab],[role=searchbox],[role=combobox],[role=columnheader],' +
    '[aria-expanded],[aria-haspopup],[aria-sort],th,a[href]';
  const elements = [];
  const facts = [];

  const short = (text) => (text || '').replace(/\s+/g, ' ').trim().slice(0, MAX_CHARS);
  const attribute = (element, name) => short(element.getAttribute(name));

  const isVisible = (element) => {
    const box = element.getBoundingClientRect();
    if (box.width < 1 || box.height < 1) return false;
    const style = getComputedStyle(element);
    return style.visibility === 'visible' && style.display !== 'none' && style.opacity !== '0';
  };

  const labelOf = (element) => {
    const root = element.getRootNode();
    const ids = (element.getAttribute('aria-labelledby') || '').split(/\s+/).filter(Boolean);
    const named = ids.map((id) => root.getElementById && root.getElementById(id)).filter(Boolean);
    const labels = [...named, ...(element.labels || [])].map((label) => label.textContent).join(' ');
    return short(element.getAttribute('aria-label') || labels);
  };

  const formOf = (element) => {
    const form = element.form || element.closest('form');
    if (!form) return null;
    const buttons = [...form.querySelectorAll('button,input[type=submit],input[type=image]')].slice(0, 5);
    const says = (button) => button.textContent || button.value || button.getAttribute('aria-label');
    return {
      method: (form.getAttribute('method') || 'get').toLowerCase(),
      words: [form.id, form.getAttribute('name'), form.getAttribute('action'), form.className]
        .concat(form.getAttribute('aria-label'), buttons.map(says))
        .map((text) => short(String(text || '')))
        .filter(Boolean),
      has_password: form.querySelector('input[type=password]') !== null,
    };
  };

  const add = (element) => {
    const form = formOf(element);
    const tag = element.localName;
    elements.push(element);
    facts.push({
      tag,
      type: tag === 'input' || tag === 'button' ? element.type : '',
      role: attribute(element, 'role').toLowerCase(),
      // Not of a select: its options are no words about it.
      text: tag === 'select' || tag === 'input' ? '' : short(element.textContent),
      value: tag === 'input' && ['button', 'submit', 'reset', 'image'].includes(element.type) ? short(element.value) : '',
      label: labelOf(element),
      title: attribute(element, 'title'),
      placeholder: attribute(element, 'placeholder'),
      name: attribute(element, 'name'),
      id: short(element.id),
      href: tag === 'a' ? short(element.href) : '',
      script: attribute(element, 'onclick'),
      is_expanded: attribute(element, 'aria-expanded') === 'true' || Boolean(tag === 'summary' && element.parentElement?.open),
      is_expandable: element.hasAttribute('aria-expanded') || tag === 'summary',
      has_popup: !['', 'false'].includes(attribute(element, 'aria-haspopup')),
      is_selected: attribute(element, 'aria-selected') === 'true',
      is_sortable: element.hasAttribute('aria-sort') || (tag === 'th' && element.hasAttribute('onclick')) ||
        Boolean(element.closest('th,[role=columnheader]') && tag !== 'th'),
      is_download: tag === 'a' && element.hasAttribute('download'),
      options: tag === 'select' ? [...element.options].slice(0, 100).map((o) => ({ is_disabled: o.disabled, is_selected: o.selected })) : [],
      form,
    });
  };

  const walk = (root) => {
    for (const element of root.querySelectorAll('*')) {
      if (elements.length >= MAX_CONTROLS) return;
      if (element.matches(WANTED) && !element.disabled && element.getAttribute('aria-disabled') !== 'true' && isVisible(element)) {
        add(element);
      }
      if (element.shadowRoot) walk(element.shadowRoot);
    }
  };
  walk(document);
  return { elements, facts };
}
