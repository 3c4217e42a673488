//! One page of a list.

/// A page of rows and the cursor of the next one.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Give this back as `after` for the next page; nothing at the end.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Maps the rows.
    pub fn map<U>(self, each: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(each).collect(), next: self.next }
    }
}

/// The default number of rows in a page.
pub const DEFAULT_LIMIT: usize = 25;
/// The largest number of rows in a page.
pub const MAX_LIMIT: usize = 100;
