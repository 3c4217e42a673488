// Gets a field ready to be written over: what is typed next replaces what is in it. Fields that are not typed into get
// their value here.
function (value) {
  if (!this.isConnected) return { why: 'gone' };
  if (this.disabled || this.readOnly) return { why: this.disabled ? 'disabled' : 'readonly' };
  const tell = () => {
    this.dispatchEvent(new Event('input', { bubbles: true, composed: true }));
    this.dispatchEvent(new Event('change', { bubbles: true }));
  };
  const chosen = ['color', 'date', 'datetime-local', 'month', 'range', 'time', 'week'];
  const pressed = ['button', 'checkbox', 'file', 'image', 'radio', 'reset', 'submit'];
  if (this instanceof HTMLInputElement && pressed.includes(this.type)) return { why: 'no field' };
  if (this instanceof HTMLInputElement && chosen.includes(this.type)) {
    this.focus();
    this.value = value;
    tell();
    return this.value === value || this.type === 'range' ? { done: true } : { why: 'form' };
  }
  if (this instanceof HTMLInputElement || this instanceof HTMLTextAreaElement) {
    this.focus();
    this.select();
    return { empty: this.value === '' };
  }
  if (!this.isContentEditable) return { why: 'no field' };
  this.focus();
  getSelection().selectAllChildren(this);
  return { empty: this.textContent === '' };
}
