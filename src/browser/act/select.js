// Chooses options of a list by their words or values.
function (wanted) {
  if (!this.isConnected) return { why: 'gone' };
  if (!(this instanceof HTMLSelectElement)) return { why: 'no list' };
  if (this.disabled) return { why: 'disabled' };
  const options = [...this.options];
  const find = (word) =>
    options.find((one) => one.label.trim() === word) || options.find((one) => one.value === word);
  const found = wanted.map((word) => find(word.trim()));
  if (found.some((one) => !one || one.disabled) || (!this.multiple && found.length !== 1)) {
    return { why: 'no option', have: options.filter((one) => !one.disabled).slice(0, 50).map((one) => one.label.trim()) };
  }
  this.focus();
  for (const option of options) option.selected = found.includes(option);
  this.dispatchEvent(new Event('input', { bubbles: true, composed: true }));
  this.dispatchEvent(new Event('change', { bubbles: true }));
  return {};
}
