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
    const before = this.value;
    this.value = value;
    if (this.value !== value && this.type !== 'range') {
      this.value = before;
      return { why: 'form' };
    }
    this.focus();
    tell();
    return { done: true };
  }
  if (this instanceof HTMLInputElement || this instanceof HTMLTextAreaElement) {
    // What is typed over a selection takes that away, also where the field takes nothing or only a part of it.
    if (this.type === 'number' && value !== '' && !/^-?(\d+(\.\d+)?|\.\d+)(e[-+]?\d+)?$/i.test(value)) return { why: 'form' };
    if (this.maxLength >= 0 && value.length > this.maxLength) return { why: 'long', most: this.maxLength };
    this.focus();
    this.select();
    return { empty: this.value === '' };
  }
  if (!this.isContentEditable) return { why: 'no field' };
  this.focus();
  getSelection().selectAllChildren(this);
  return { empty: this.textContent === '' };
}
