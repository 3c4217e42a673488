// Says what an act on a part would reach, and changes nothing: whether it is a field, and what stands in the form that
// it would send. What is to stay unseen does not leave the page. A form may hide its own properties behind the names of
// its fields, so they are read from the prototypes.
function () {
  const element = this.nodeType === Node.ELEMENT_NODE ? this : this.parentElement;
  if (!element || !this.isConnected) return { why: 'gone' };
  if (element.matches('iframe, frame, object, embed')) return { inner: true };
  const reads = (of, name) => {
    const { get } = Object.getOwnPropertyDescriptor(of.prototype, name);
    return (self) => get.call(self);
  };
  const [parentOf, slotOf, elementsOf] = [reads(Node, 'parentNode'), reads(Element, 'assignedSlot'), reads(HTMLFormElement, 'elements')];
  const above = (at) => (at instanceof Element && slotOf(at)) || parentOf(at) || (at instanceof ShadowRoot ? at.host : null);
  const nearest = (...kinds) => {
    for (let at = element; at; at = above(at)) if (kinds.some((kind) => at instanceof kind)) return at;
    return null;
  };
  const all = (root) => {
    const kind = root instanceof Element ? Element : root instanceof Document ? Document : DocumentFragment;
    const found = [...kind.prototype.querySelectorAll.call(root, '*')];
    return found.flatMap((one) => (one.shadowRoot instanceof ShadowRoot ? [one, ...all(one.shadowRoot)] : [one]));
  };
  const isInput = (one) => one instanceof HTMLInputElement || one instanceof HTMLSelectElement || one instanceof HTMLTextAreaElement;
  const pressed = ['submit', 'image', 'button', 'reset'];
  const control =
    nearest(HTMLButtonElement, HTMLInputElement, HTMLSelectElement, HTMLTextAreaElement) || nearest(HTMLLabelElement)?.control || null;
  const field = control ? isInput(control) && !pressed.includes(control.type) : element.isContentEditable;
  const form = control?.form || nearest(HTMLFormElement);
  // Without a form around it, a script may send whatever stands in the page outside of forms.
  const near = form ? [...new Set([...elementsOf(form), ...all(form)])] : all(document).filter((one) => isInput(one) && !one.form);
  const inputs = near.filter((one) => isInput(one) && one.type !== 'hidden' && !pressed.includes(one.type));
  const kindOf = (one) => {
    const says = `${one.autocomplete} ${one.name} ${one.id} ${one.ariaLabel || ''}`.toLowerCase();
    if (one.type === 'file') return 'file';
    if (one.type === 'password' || /\b(current|new)-password\b|one-time-code|\botp\b|totp|2fa|mfa|passcode|verification/.test(says)) return 'password';
    return /\bcc-|card.?(number|no\b)|cardnum|ccnum|\bcv[cv]|security.?code|\biban\b/.test(says) ? 'payment' : '';
  };
  const isFilled = (one) => {
    if (one.type === 'file') return one.files.length > 0;
    return one.type === 'checkbox' || one.type === 'radio' ? one.checked : one.value !== '';
  };
  const labelOf = (one) =>
    (one.ariaLabel || one.labels?.[0]?.innerText || one.placeholder || one.name || one.id || one.type).trim().slice(0, 60);
  const valueOf = (one, kind) => {
    if (kind === 'file') return [...one.files].map((file) => file.name).join(', ');
    if (kind) return null;
    if (one instanceof HTMLSelectElement) return [...one.selectedOptions].map((option) => option.label.trim()).join(', ');
    return one.type === 'checkbox' || one.type === 'radio' ? one.value : one.value.slice(0, 200);
  };
  const filled = inputs.filter(isFilled).map((one) => [one, kindOf(one)]);
  const target = control?.getAttribute('formaction') ?? (form ? Element.prototype.getAttribute.call(form, 'action') : null);
  let to = '';
  try {
    if (form) to = new URL(target ?? '', document.baseURI).href;
  } catch {
    to = '';
  }
  const said = element.isContentEditable ? '' : control instanceof HTMLButtonElement ? control.innerText : element.innerText;
  const name = element.ariaLabel || control?.ariaLabel || control?.labels?.[0]?.innerText || said || (control?.type === 'submit' && control.value) || control?.placeholder || element.title || '';
  return {
    name: String(name).trim().replace(/\s+/g, ' ').slice(0, 60),
    field,
    download: Boolean(nearest(HTMLAnchorElement)?.hasAttribute('download')),
    to,
    kinds: [...new Set(filled.map(([, kind]) => kind))],
    fields: form ? filled.slice(0, 30).map(([one, kind]) => [labelOf(one), valueOf(one, kind)]) : [],
  };
}
