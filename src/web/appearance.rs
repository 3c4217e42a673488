//! How the person of a request wants pages: theme, density, first day of the week, forms of dates and numbers.

use std::borrow::Cow;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use kernel::display::Forms;
use kernel::{DateForm, Density, FirstDay, NumberForm, TimeForm};

use crate::shell::Theme;

/// The appearance that applies to a request. The middleware adds it; pages before sign-in have the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Viewer {
    /// Colour theme.
    pub theme: Theme,
    /// Height of rows and controls.
    pub density: Density,
    /// First day of the week; [`crate::week::WeekStart`] resolves it.
    pub first_day: FirstDay,
    /// Forms of dates, times and numbers.
    pub forms: Forms,
}

impl Viewer {
    /// The value of `data-density`; empty if the style sheet decides.
    #[must_use]
    pub fn density(&self) -> &'static str {
        if self.density == Density::Auto { "" } else { self.density.word() }
    }

    /// The value of `data-date`, for scripts; empty for the usual form.
    #[must_use]
    pub fn date(&self) -> &'static str {
        if self.forms.date == DateForm::Words { "" } else { self.forms.date.word() }
    }

    /// The value of `data-time`, for scripts; empty for the usual form.
    #[must_use]
    pub fn time(&self) -> &'static str {
        if self.forms.time == TimeForm::Whole { "" } else { self.forms.time.word() }
    }

    /// The value of `data-number`, for scripts; empty for the usual form.
    #[must_use]
    pub fn number(&self) -> &'static str {
        if self.forms.number == NumberForm::Comma { "" } else { self.forms.number.word() }
    }
}

impl<S: Sync> FromRequestParts<S> for Viewer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().copied().unwrap_or_default())
    }
}

/// Name of the hidden form field with the forms in which a page was drawn ([`crate::fields::drawn`]), and `=`.
const DRAWN: &[u8] = b"_forms=";

/// Switches the rest of the request to the forms in which its page was drawn, because the person may have changed them
/// in another tab. Returns the body without the hidden field.
pub(crate) fn as_drawn(body: &[u8]) -> Cow<'_, [u8]> {
    let pairs = || body.split(|byte| *byte == b'&');
    let Some(value) = pairs().find_map(|pair| pair.strip_prefix(DRAWN)) else {
        return Cow::Borrowed(body);
    };
    if let Some(forms) = std::str::from_utf8(value).ok().and_then(Forms::of_page) {
        forms.replace();
    }
    let rest: Vec<&[u8]> = pairs().filter(|pair| !pair.starts_with(DRAWN)).collect();
    Cow::Owned(rest.join(&b'&'))
}

/// Like [`as_drawn`] for one field of a form with files. Returns `true` if it is the hidden field.
pub(crate) fn is_drawn(name: &str, value: &str) -> bool {
    let is_it = DRAWN.strip_suffix(b"=").is_some_and(|drawn| drawn == name.as_bytes());
    if let Some(forms) = Forms::of_page(value).filter(|_| is_it) {
        forms.replace();
    }
    is_it
}

/// Runs a future so that everything that it formats has these forms, on whichever thread it is polled.
pub fn formatted<F: Future>(forms: Forms, work: F) -> Formatted<F> {
    Formatted { forms, work: Box::pin(work) }
}

/// See [`formatted`].
pub struct Formatted<F> {
    forms: Forms,
    work: Pin<Box<F>>,
}

impl<F: Future> Future for Formatted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _entered = self.forms.enter();
        let answer = self.work.as_mut().poll(context);
        // A form that was sent is read as its page was drawn, whoever polls next.
        self.forms = Forms::current();
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::{Viewer, as_drawn, formatted};
    use kernel::display::{self, Forms};
    use kernel::{DateForm, Density, NumberForm};

    #[tokio::test]
    async fn a_request_keeps_its_forms_while_another_runs_on_the_same_thread() {
        let work = || async {
            let before = display::grouped(1_000);
            tokio::task::yield_now().await;
            (before, display::grouped(1_000))
        };
        let point = Forms { number: NumberForm::Point, ..Forms::USUAL };
        let (one, other) = tokio::join!(formatted(point, work()), work());
        assert_eq!(one, ("1.000".to_owned(), "1.000".to_owned()));
        assert_eq!(other, ("1,000".to_owned(), "1,000".to_owned()));
        assert_eq!(Forms::current(), Forms::USUAL);
    }

    #[tokio::test]
    async fn a_form_is_read_as_its_page_was_drawn() {
        let work = async {
            let body = as_drawn(b"_forms=day_first.point&a=1.500&_forms=day_first.point");
            assert_eq!(&*body, b"a=1.500");
            tokio::task::yield_now().await;
            display::plain_number("1.500")
        };
        assert_eq!(formatted(Forms::USUAL, work).await, "1500");
        assert_eq!(Forms::current(), Forms::USUAL);
        assert_eq!(&*as_drawn(b"a=1&b_forms=2"), b"a=1&b_forms=2");
    }

    #[test]
    fn only_what_differs_from_the_usual_is_written_into_the_page() {
        let usual = Viewer::default();
        assert_eq!([usual.density(), usual.date(), usual.time(), usual.number()], [""; 4]);
        let forms = Forms { date: DateForm::DayFirst, ..Forms::USUAL };
        let own = Viewer { density: Density::Compact, forms, ..Viewer::default() };
        assert_eq!([own.density(), own.date()], ["compact", "day_first"]);
    }
}
