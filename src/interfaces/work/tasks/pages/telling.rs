//! Filter of a task's timeline, remembered by the browser in a cookie.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header::SET_COOKIE;
use axum::http::request::Parts;
use axum::response::Response;

use web::habit;
use web::parts::Tab;

const COOKIE_NAME: &str = "hq_timeline";

/// The timeline filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Telling {
    /// Comments, deliverables, runs and all changes.
    #[default]
    Everything,
    /// Without changes, and without runs before the newest.
    Comments,
}

impl Telling {
    /// All filters with their words and labels.
    const ALL: [(Self, &'static str, &'static str); 2] = [
        (Self::Everything, "everything", "Everything"),
        (Self::Comments, "comments", "Comments only"),
    ];

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name, _)| *name == word).map(|(one, ..)| *one)
    }

    /// The filter in an address, else this one.
    #[must_use]
    pub fn or_asked(self, word: &str) -> Self {
        Self::from_word(word).unwrap_or(self)
    }

    /// Stores the filter of an address in a cookie, if it has one.
    #[must_use]
    pub fn keep(word: &str, mut answer: Response) -> Response {
        if let Some(cookie) = Self::from_word(word).and_then(|_| habit::keep(COOKIE_NAME, word)) {
            answer.headers_mut().insert(SET_COOKIE, cookie);
        }
        answer
    }

    /// The filter tabs of a page.
    #[must_use]
    pub fn tabs(self, page: &str) -> Vec<Tab> {
        let tab = |(one, word, label): &(Self, &str, &str)| {
            Tab::new(*label, format!("{page}?tell={word}"), *one == self)
        };
        Self::ALL.iter().map(tab).collect()
    }
}

impl<S: Sync> FromRequestParts<S> for Telling {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::from_word(habit::kept(&parts.headers, COOKIE_NAME)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::Telling;

    #[test]
    fn an_address_ranks_above_what_is_kept_and_unknown_words_change_nothing() {
        let (all, few) = (Telling::Everything, Telling::Comments);
        assert_eq!((all.or_asked("comments"), few.or_asked("everything")), (few, all));
        assert_eq!((few.or_asked(""), all.or_asked("nonsense")), (few, all));
    }
}
