// Says what a field is for and whether something is in it.
function () {
  if (!this.isConnected) return {};
  if (this.isContentEditable) return { kind: 'other', empty: this.textContent === '' };
  const typed = this instanceof HTMLTextAreaElement || this instanceof HTMLInputElement;
  if (!typed) return {};
  const says = `${this.autocomplete} ${this.name} ${this.id} ${this.ariaLabel || ''}`.toLowerCase();
  const kind =
    this.type === 'password' || /\b(current|new)-password\b/.test(says)
      ? 'password'
      : /one-time-code|\botp\b|totp|2fa|mfa|passcode|verification/.test(says)
        ? 'code'
        : this.type === 'email' || /\busername\b|\blogin\b|\bemail\b/.test(says)
          ? 'name'
          : 'other';
  return { kind, empty: this.value === '' };
}
