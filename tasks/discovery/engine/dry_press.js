(() => {
  // Fields that are empty get a value that fits, as a person would give one before pressing.
  const sample = {number: '1', email: 'someone@example.org', url: 'https://example.org/', tel: '123456', date: '2026-01-01',
    time: '12:00', month: '2026-01', week: '2026-W01', 'datetime-local': '2026-01-01T12:00'};
  for (const field of document.querySelectorAll('input, textarea')) {
    const unfit = ['hidden', 'checkbox', 'radio', 'file', 'submit', 'button', 'image', 'reset', 'range', 'color'];
    if (unfit.includes(field.type) || field.value || field.disabled || field.readOnly) continue;
    field.value = field.min || sample[field.type] || 'text';
    field.dispatchEvent(new Event('input', {bubbles: true}));
    field.dispatchEvent(new Event('change', {bubbles: true}));
  }
  const buttons = [...document.querySelectorAll(
    'button, input[type=button], [role=button], a[onclick], a[href="#"], a[href^="javascript:"]')].filter((one) =>
    !one.disabled && !(one.form && ['submit', 'reset', 'image'].includes(one.type)));
  Object.defineProperty(window, Symbol.for('discovery.buttons'), {value: buttons});
  return buttons.map((one) => (one.innerText || one.value || one.title || one.getAttribute('aria-label') || one.id || '')
    .trim().replace(/\s+/g, ' ').slice(0, 60));
})()
