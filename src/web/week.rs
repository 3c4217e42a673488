//! First day of the week, stored in a cookie of the browser like the theme.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header::{HeaderMap, REFERER, SET_COOKIE};
use axum::http::request::Parts;
use axum::response::Response;
use jiff::civil::{Date, Weekday};
use serde::Deserialize;

use crate::extract::Form;
use crate::habit;
use crate::hx::Hx;
use crate::shell::own_path;

/// Cookie name.
const COOKIE_NAME: &str = "hq_week";

/// The first day of a week.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeekStart {
    /// Monday.
    #[default]
    Monday,
    /// Sunday.
    Sunday,
    /// Saturday.
    Saturday,
}

impl WeekStart {
    /// All days with form value and label.
    pub const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::Monday, "monday", "Monday"),
        (Self::Sunday, "sunday", "Sunday"),
        (Self::Saturday, "saturday", "Saturday"),
    ];

    /// Parses a form value; Monday if it is unknown.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        Self::ALL
            .iter()
            .find(|(_, name, _)| *name == word)
            .map(|(day, ..)| *day)
            .unwrap_or_default()
    }

    /// The form value.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(day, ..)| *day == self).map_or("monday", |(_, word, _)| word)
    }

    /// The day in the request's cookie.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        Self::from_word(habit::kept(headers, COOKIE_NAME))
    }

    /// Number of days between the start of the week and `day`.
    #[must_use]
    pub fn before(self, day: Date) -> i64 {
        let first = match self {
            Self::Monday => Weekday::Monday,
            Self::Sunday => Weekday::Sunday,
            Self::Saturday => Weekday::Saturday,
        };
        let offset = |day: Weekday| i64::from(day.to_monday_zero_offset());
        (offset(day.weekday()) - offset(first)).rem_euclid(7)
    }
}

impl<S: Sync> FromRequestParts<S> for WeekStart {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::from_headers(&parts.headers))
    }
}

/// The submitted form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct WeekForm {
    week: String,
}

/// Stores the day in the cookie and redirects back.
pub async fn choose(headers: HeaderMap, Form(form): Form<WeekForm>) -> Response {
    let back = headers.get(REFERER).and_then(|value| value.to_str().ok()).and_then(own_path);
    let mut response = Hx::default().go_to(back.unwrap_or("/"));
    let word = WeekStart::from_word(&form.week).word();
    if let Some(cookie) = habit::keep(COOKIE_NAME, word) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::WeekStart;
    use axum::http::HeaderMap;
    use jiff::civil::date;

    #[test]
    fn a_week_begins_where_the_browser_says() {
        let mut headers = HeaderMap::new();
        assert_eq!(WeekStart::from_headers(&headers), WeekStart::Monday);
        headers.insert("cookie", "hq_theme=dark; hq_week=sunday".parse().unwrap());
        assert_eq!(WeekStart::from_headers(&headers), WeekStart::Sunday);
        for (day, word, _) in WeekStart::ALL {
            assert_eq!((WeekStart::from_word(word), day.word()), (day, word));
        }
        assert_eq!(WeekStart::from_word("someday"), WeekStart::Monday);
    }

    #[test]
    fn the_days_before_a_day_are_those_of_its_week() {
        let friday = date(2026, 11, 20);
        assert_eq!(WeekStart::Monday.before(friday), 4);
        assert_eq!(WeekStart::Sunday.before(friday), 5);
        assert_eq!(WeekStart::Saturday.before(friday), 6);
        assert_eq!(WeekStart::Saturday.before(date(2026, 11, 21)), 0);
        assert_eq!(WeekStart::Monday.before(date(2026, 11, 22)), 6);
    }
}
