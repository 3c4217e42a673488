//! Resealing of a record's secrets under a new master key.

use crypto::keyring::{Binding, Keyring, Sealed};
use kernel::WorkspaceId;

/// Reseals the secrets of one row.
pub struct Resealer<'r> {
    ring: &'r Keyring,
    /// Workspace of the row. `None` for the system store.
    pub workspace: Option<WorkspaceId>,
    /// `true` if the row has changed.
    pub changed: bool,
    /// Number of values that no available key can decrypt.
    pub shut: u64,
}

impl<'r> Resealer<'r> {
    #[must_use]
    pub fn new(ring: &'r Keyring, workspace: Option<WorkspaceId>) -> Self {
        Self { ring, workspace, changed: false, shut: 0 }
    }

    /// Reseals a value that a retired key has sealed. Returns whether it can be decrypted.
    pub fn value(&mut self, sealed: &mut Sealed, place: Binding<'_>) -> bool {
        match self.ring.seal_anew(sealed, place) {
            Ok(None) => true,
            Ok(Some(new)) => {
                *sealed = new;
                self.changed = true;
                true
            }
            Err(_) => {
                self.shut += 1;
                false
            }
        }
    }

    /// Like `value`, for a secret stored as text. Empty text is skipped. Returns whether it can be decrypted.
    pub fn text(&mut self, text: &mut String, place: Binding<'_>) -> bool {
        if text.is_empty() {
            return false;
        }
        let mut sealed = Sealed::from_stored(text.as_str());
        let opens = self.value(&mut sealed, place);
        if sealed.as_str() != text {
            sealed.as_str().clone_into(text);
        }
        opens
    }

    /// Like `text`, for a secret whose key id is stored next to it.
    pub fn named(&mut self, text: &mut String, key: &mut String, place: Binding<'_>) {
        let current = self.ring.key_id();
        if self.text(text, place) && key != current.as_str() {
            current.as_str().clone_into(key);
            self.changed = true;
        }
    }
}
