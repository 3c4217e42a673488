//! Pages of a list.

/// A page of rows with the cursor of the next page.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Page<T> {
    /// Rows of this page.
    pub items: Vec<T>,
    /// Cursor to pass as `after` for the next page; `None` on the last page.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Maps each row.
    pub fn map<U>(self, each: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(each).collect(), next: self.next }
    }
}

/// Default page size.
pub const DEFAULT_LIMIT: usize = 25;
/// Maximum page size.
pub const MAX_LIMIT: usize = 100;
