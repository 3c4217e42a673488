//! What a record with sealed values says of them, so that they are sealed anew under another master key.

use crypto::keyring::{Binding, Keyring, Sealed};
use kernel::WorkspaceId;

/// Seals the values of one row anew.
pub struct Pen<'r> {
    ring: &'r Keyring,
    /// The workspace whose row it is; none for the store of accounts.
    pub workspace: Option<WorkspaceId>,
    /// Whether the row is another one now.
    pub changed: bool,
    /// How many of its values open with no key that is here.
    pub shut: u64,
}

impl<'r> Pen<'r> {
    /// For a row of a workspace, or of the store of accounts.
    #[must_use]
    pub fn new(ring: &'r Keyring, workspace: Option<WorkspaceId>) -> Self {
        Self { ring, workspace, changed: false, shut: 0 }
    }

    /// Seals a value anew when a former key has sealed it. Says whether it opens.
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

    /// The same for one that is kept as text; what is empty stays. Says whether it opens.
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

    /// The same for one beside which the key is named.
    pub fn named(&mut self, text: &mut String, key: &mut String, place: Binding<'_>) {
        let current = self.ring.key_id();
        if self.text(text, place) && key != current.as_str() {
            current.as_str().clone_into(key);
            self.changed = true;
        }
    }
}
