// A frame as the browser holds it, in plain values: see live_page.py, which reads the answer.
//
// It runs in an isolated world, so that nothing that the page has redefined reaches it. Named access does reach it: a
// form whose control is called "elements" answers with that control. So forms and documents are only ever asked through
// the getters and methods of the prototypes.
(limits) => {
  "use strict";
  const getter = (type, name) => {
    const { get } = Object.getOwnPropertyDescriptor(type.prototype, name);
    return (object) => Reflect.apply(get, object, []);
  };
  const method = (type, name) => {
    const call = type.prototype[name];
    return (object, ...values) => Reflect.apply(call, object, values);
  };
  const attributeOf = method(Element, "getAttribute");
  const attributeNames = method(Element, "getAttributeNames");
  const hasAttribute = method(Element, "hasAttribute");
  const closest = method(Element, "closest");
  const matches = method(Element, "matches");
  const isShown = method(Element, "checkVisibility");
  const rectangle = method(Element, "getBoundingClientRect");
  const localName = getter(Element, "localName");
  const shadowOf = getter(Element, "shadowRoot");
  const firstChild = getter(Node, "firstChild");
  const nextSibling = getter(Node, "nextSibling");
  const parentOf = getter(Node, "parentNode");
  const typeOf = getter(Node, "nodeType");
  const rootOf = method(Node, "getRootNode");
  const textOf = getter(Node, "textContent");
  const inDocument = method(Document, "querySelectorAll");
  const inFragment = method(DocumentFragment, "querySelectorAll");
  const elementBefore = getter(Element, "previousElementSibling");
  const evaluate = method(Document, "evaluate");
  const documentElement = getter(Document, "documentElement");
  const owners = { input: HTMLInputElement, select: HTMLSelectElement, textarea: HTMLTextAreaElement, button: HTMLButtonElement };
  const ownerGetters = Object.fromEntries(Object.entries(owners).map(([tag, type]) => [tag, getter(type, "form")]));

  const CONTROLS = new Set(Object.keys(owners));
  const DROPPED = new Set(["script", "style", "template", "noscript", "noframes", "iframe", "frame", "object", "embed"]);
  // Drawings are kept for what they are called, and nothing else.
  const DRAWN = new Set(["title", "text", "tspan", "desc", "a"]);
  const KEPT = (
    "id class role title lang name aria-label aria-labelledby aria-description aria-describedby aria-current " +
    "action method enctype accept-charset type value placeholder list pattern min max step minlength maxlength accept autocomplete " +
    "required multiple readonly formaction formmethod formenctype dirname toolparamdescription label alt href rel for"
  ).split(" ");
  // As in html_page.py.
  const SCRIPTED =
    /^(on(click|mousedown|pointerdown|touchstart)$|jsaction$|hx-|up-|wire:click|ng-click|(v-on|x-on):|@click|data-(method|confirm|remote|ajax|turbo-(method|confirm|stream)|action|hx-[a-z-]+|(bs-)?toggle)$)/i;
  const NEVER_TYPED = new Set(["hidden", "submit", "reset", "button", "image", "checkbox", "radio", "file"]);
  // Without a label or caption, the browser calls these in its own words.
  const SPOKEN = new Set(["file", "submit", "reset", "image"]);
  // What XML cannot hold: controls, surrogates without their other half, non-characters.
  const UNFIT = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
  const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;" };

  const started = performance.now();
  const pieces = [];
  const facts = [];
  const forms = new Map();
  const controls = [];
  const roots = [document];
  let elements = 0;
  let characters = 0;
  let isCut = false;
  let naming = 0;

  const isLate = () => performance.now() - started > limits.time_ms;
  const isFull = () => elements >= limits.elements || characters >= limits.characters || isLate();
  const escaped = (text) => text.replace(UNFIT, "").replace(/[&<>"\n\r\t]/g, (sign) => ENTITIES[sign]);
  const write = (text) => {
    characters += text.length;
    pieces.push(text);
  };

  const currentValue = (element, tag) => {
    if (tag === "textarea") return null;
    if (tag !== "input" || NEVER_TYPED.has(element.type)) return attributeOf(element, "value");
    return element.value === "" && !hasAttribute(element, "value") ? null : element.value;
  };

  const attributesOf = (element, tag) => {
    const found = [];
    for (const name of KEPT) {
      const value = name === "value" && CONTROLS.has(tag) ? currentValue(element, tag) : attributeOf(element, name);
      if (value !== null) found.push([name, value.slice(0, limits.attribute)]);
    }
    if (tag === "a" && attributeNames(element).some((name) => SCRIPTED.test(name))) found.push(["data-scripted", ""]);
    if (tag === "input" && element.checked) found.push(["checked", ""]);
    if (tag === "option" && element.selected) found.push(["selected", ""]);
    if (tag === "option" || tag === "optgroup" ? element.disabled : CONTROLS.has(tag) && matches(element, ":disabled")) {
      found.push(["disabled", ""]);
    }
    return found;
  };

  // An element may be drawn and yet be out of sight: no size, or beyond the page's edges.
  const isInSight = (element) => {
    if (!isShown(element, { visibilityProperty: true })) return false;
    const box = rectangle(element);
    return box.width > 1 && box.height > 1 && box.right + scrollX > 0 && box.bottom + scrollY > 0;
  };
  // Boxes are often hidden behind a drawn label.
  const isVisible = (element) =>
    isInSight(element) ||
    (["checkbox", "radio", "file"].includes(element.type) && Array.from(element.labels ?? []).some(isInSight));

  // Where a page declares none, the browser may know a name all the same: from style sheets, say.
  const isUnnamed = (element, tag) => {
    if (["aria-label", "placeholder", "title"].some((name) => hasAttribute(element, name))) return false;
    if (tag === "button") return textOf(element).trim() === "";
    if (tag === "input" && SPOKEN.has(element.type)) return false;
    return !Array.from(element.labels ?? []).some((label) => textOf(label).trim());
  };
  // Each answer costs the browser a whole tree of accessible objects.
  const computedNameOf = (element) => {
    const before = performance.now();
    const name = element.computedName ?? "";
    naming += performance.now() - before;
    return name;
  };

  const note = (element, tag) => {
    const fact = {};
    if (tag === "form") {
      forms.set(element, facts.length);
    } else {
      fact.visible = element.type !== "hidden" && isVisible(element);
      if (fact.visible && naming < limits.naming_ms && isUnnamed(element, tag)) fact.name = computedNameOf(element);
      controls.push([element, tag, fact]);
    }
    facts.push(fact);
    return facts.length - 1;
  };

  const childrenOf = (element, tag) => {
    const shadow = shadowOf(element);
    if (shadow !== null) {
      roots.push(shadow);
      return [firstChild(shadow), null];
    }
    const assigned = tag === "slot" && element instanceof HTMLSlotElement ? element.assignedNodes() : [];
    return assigned.length ? [null, assigned] : [firstChild(element), null];
  };

  const start = (element, isDrawn) => {
    const given = localName(element).toLowerCase();
    const tag = /^[a-z][a-z0-9-]*$/.test(given) ? given : "span";
    if (DROPPED.has(tag) || (isDrawn && !DRAWN.has(tag) && tag !== "svg" && tag !== "g")) return null;
    elements += 1;
    const isHTML = element instanceof HTMLElement;
    let text = `<${tag}`;
    for (const [name, value] of attributesOf(element, isHTML ? tag : "")) text += ` ${name}="${escaped(value)}"`;
    if (isHTML && (tag === "form" || CONTROLS.has(tag))) text += ` number="${note(element, tag)}"`;
    const scope = roots.length > 1 ? roots.indexOf(rootOf(element)) : 0;
    if (scope > 0) text += ` scope="${scope}"`;
    write(`${text}>`);
    if (tag === "textarea" && isHTML) {
      write(escaped(`\n${element.value.slice(0, limits.attribute)}`) + "</textarea>");
      return null;
    }
    return tag;
  };

  // No recursion: scripts can nest deeper than any stack.
  const walk = (top) => {
    const open = [];
    const enter = (node, isDrawn) => {
      const type = typeOf(node);
      if (type === 3) write(escaped(textOf(node).slice(0, limits.text)));
      if (type !== 1) return;
      const tag = start(node, isDrawn);
      if (tag === null) return;
      const [first, listed] = childrenOf(node, tag);
      open.push({ tag, next: first, listed, at: 0, isDrawn: isDrawn || tag === "svg" });
    };
    enter(top, false);
    while (open.length) {
      const level = open[open.length - 1];
      const child = level.listed === null ? level.next : level.listed[level.at++];
      if (child == null || isFull()) {
        isCut ||= child != null;
        write(`</${level.tag}>`);
        open.pop();
      } else {
        if (level.listed === null) level.next = nextSibling(child);
        enter(child, level.isDrawn);
      }
    }
  };

  const query = (selector) => {
    const found = [];
    for (const root of roots) {
      for (const element of root === document ? inDocument(root, selector) : inFragment(root, selector)) found.push(element);
      if (found.length > limits.same) break;
    }
    return found;
  };

  // --- selectors, each verified to find this element and no other -----------------------------------------------

  const quoted = (text) => `"${text.replace(/["\\]/g, "\\$&").replace(/\n/g, "\\a ")}"`;
  // Numbered by a framework, or a hash: another load may have another.
  const isGenerated = (id) =>
    /\d{4,}|[0-9a-f]{8,}|^(?:ember|react|radix|headlessui|mui|ext-gen|yui|gwt|mat-|cdk-|:r|«)|__[a-z0-9]{5,}$/i.test(id) ||
    (/[a-z]\d+[a-z]+\d/i.test(id) && id.length > 8);
  const soles = new Map();
  const isSole = (selector, element) => {
    if (!soles.has(selector)) {
      const found = query(selector);
      soles.set(selector, found.length === 1 ? found[0] : null);
    }
    return soles.get(selector) === element;
  };
  const hostOf = (element) => {
    const root = rootOf(element);
    return root instanceof ShadowRoot ? root.host : null;
  };

  const pathWithin = (element) => {
    const steps = [];
    for (let at = element; at !== null && typeOf(at) === 1; at = parentOf(at)) {
      const tag = CSS.escape(localName(at));
      const id = attributeOf(at, "id");
      if (id && at !== element && !isGenerated(id) && isSole(`#${CSS.escape(id)}`, at)) {
        steps.unshift(`#${CSS.escape(id)}`);
        break;
      }
      let place = 1;
      for (let before = elementBefore(at); before !== null; before = elementBefore(before)) {
        if (localName(before) === localName(at)) place += 1;
      }
      const above = parentOf(at);
      steps.unshift(above === document ? tag : `${tag}:nth-of-type(${place})`);
      if (above instanceof ShadowRoot) steps.unshift(":scope");
    }
    return steps.join(" > ");
  };
  const pathOf = (element) => {
    const host = hostOf(element);
    return host === null ? pathWithin(element) : `${pathOf(host)} >> ${pathWithin(element)}`;
  };

  // A literal of XPath 1.0, which knows no escapes.
  const literal = (text) => (text.includes('"') ? `'${text}'` : `"${text}"`);
  const byLabel = (element, tag) => {
    if (hostOf(element) !== null || !element.labels?.length) return null;
    const text = textOf(element.labels[0]).replace(/[ \t\r\n]+/g, " ").trim();
    if (!text || text.length > 80 || (text.includes('"') && text.includes("'"))) return null;
    const label = `//label[normalize-space(.)=${literal(text)}]`;
    return hasAttribute(element.labels[0], "for") ? `//${tag}[@id=${label}/@for]` : `${label}//${tag}`;
  };
  const isSoleOnPath = (path, element) => {
    const found = evaluate(document, path, document, null, XPathResult.ORDERED_NODE_SNAPSHOT_TYPE, null);
    return found.snapshotLength === 1 && found.snapshotItem(0) === element;
  };

  const attributeSelector = (element, tag, name) => {
    const value = attributeOf(element, name);
    return value && value.length <= 100 ? `${tag}[${name}=${quoted(value)}]` : null;
  };
  const byName = (element, tag, formSelector) => {
    const name = attributeSelector(element, tag, "name");
    if (name === null) return null;
    const isOneOfMany = ["checkbox", "radio", "submit", "image"].includes(element.type);
    const full = isOneOfMany && hasAttribute(element, "value") ? name + (attributeSelector(element, "", "value") ?? "") : name;
    return formSelector && !hasAttribute(element, "form") ? `${formSelector} ${full}` : full;
  };
  const byCaption = (element, tag) => {
    if (tag === "button") {
      const text = textOf(element).replace(/\s+/g, " ").trim();
      if (!text || text.length > 60) return null;
      const same = query("button").filter((other) => textOf(other).replace(/\s+/g, " ").trim() === text);
      return same.length === 1 ? `button:text-is(${quoted(text)})` : null;
    }
    return tag === "input" && ["submit", "button"].includes(element.type) ? attributeSelector(element, tag, "value") : null;
  };

  const selectorsOf = (element, tag, formSelector) => {
    const found = [];
    const keep = (selector) => {
      if (selector !== null && !found.includes(selector) && isSole(selector, element)) found.push(selector);
    };
    const id = attributeOf(element, "id");
    if (id && !isGenerated(id)) keep(`#${CSS.escape(id)}`);
    if (tag !== "form") keep(byName(element, tag, formSelector));
    const label = CONTROLS.has(tag) ? byLabel(element, tag) : null;
    if (label !== null && isSoleOnPath(label, element)) found.push(`xpath=${label}`);
    const caption = byCaption(element, tag);
    if (caption !== null && (caption.includes(":text-is(") || isSole(caption, element))) found.push(caption);
    for (const name of ["aria-label", "name", "placeholder", "title", "role", "action"]) {
      keep(attributeSelector(element, tag, name));
    }
    const path = pathOf(element);
    if (path.includes(" >> ")) found.push(path);
    else keep(path);
    return found.slice(0, limits.selectors);
  };

  // Hidden fields have no labels by the standard; a label that names one all the same is that of a widget.
  const labelsOf = (element) => {
    if (element.labels) return Array.from(element.labels);
    const id = attributeOf(element, "id");
    return id ? query(`label[for=${quoted(id)}]`) : [];
  };
  const isNaming = (label) => textOf(label).trim() !== "" && isInSight(label);

  // --- the answer -----------------------------------------------------------------------------------------------

  const top = documentElement(document);
  if (top !== null) walk(top);
  const formSelectors = new Map();
  for (const [form, number] of forms) {
    if (isLate()) break;
    const found = selectorsOf(form, "form", null);
    facts[number].selectors = found;
    formSelectors.set(form, found.find((selector) => !selector.includes(" >> ") && !selector.startsWith("xpath=")));
  }
  for (const [element, tag, fact] of controls) {
    const form = ownerGetters[tag](element);
    fact.owner = forms.get(form) ?? -1;
    if (!fact.visible && !isLate()) {
      const naming = labelsOf(element).find(isNaming);
      if (naming) fact.labelled = true;
      if (naming && element.type === "hidden") fact.name = textOf(naming).slice(0, limits.attribute);
    }
    if (!isLate() && element.type !== "hidden") fact.selectors = selectorsOf(element, tag, formSelectors.get(form));
  }
  return JSON.stringify({
    origin: self.origin,
    url: document.URL,
    base: document.baseURI,
    charset: document.characterSet,
    xml: pieces.join(""),
    facts,
    is_cut: isCut || isLate(),
    declarative: query("form[toolname]").map((form) => attributeOf(form, "toolname")),
  });
}
