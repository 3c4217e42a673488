//! First day of the week: chosen by the person, or by the country of the browser's language.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header::{ACCEPT_LANGUAGE, HeaderMap};
use axum::http::request::Parts;
use jiff::civil::{Date, Weekday};
use kernel::FirstDay;

use crate::appearance::Viewer;

/// Countries whose weeks begin on Sunday (CLDR, `weekData`).
const SUNDAY: &str = "AG AS BD BR BS BT BW BZ CA CO DM DO ET GT GU HK HN ID IL IN JM JP KE KH KR LA MH MM MO MT MX \
     MZ NI NP PA PE PH PK PR PT PY SA SG SV TH TT TW UM US VE VI WS YE ZA ZW";
/// Countries whose weeks begin on Saturday.
const SATURDAY: &str = "AE AF BH DJ DZ EG IQ IR JO KW LY OM QA SD SY";
/// The country of a language that a browser sends without one.
const COUNTRIES: [(&str, &str); 8] = [
    ("ar", "EG"),
    ("fa", "IR"),
    ("he", "IL"),
    ("hi", "IN"),
    ("id", "ID"),
    ("ja", "JP"),
    ("ko", "KR"),
    ("th", "TH"),
];

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

    /// The chosen day; otherwise that of the browser's first language.
    #[must_use]
    pub fn of_person(chosen: FirstDay, headers: &HeaderMap) -> Self {
        match chosen {
            FirstDay::Monday => Self::Monday,
            FirstDay::Sunday => Self::Sunday,
            FirstDay::Saturday => Self::Saturday,
            FirstDay::Auto => {
                let languages = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
                Self::of_language(languages.unwrap_or_default())
            }
        }
    }

    /// The day of the first language of an `Accept-Language` header, such as `en-US,en;q=0.9`. Monday, if it names no
    /// country.
    fn of_language(languages: &str) -> Self {
        let first = languages.split([',', ';']).next().unwrap_or_default().trim();
        let mut parts = first.split('-');
        let language = parts.next().unwrap_or_default().to_lowercase();
        let is_country =
            |part: &&str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_alphabetic());
        let usual =
            COUNTRIES.iter().find(|(word, _)| *word == language).map(|(_, country)| *country);
        let country = parts.find(is_country).or(usual).unwrap_or_default().to_uppercase();
        let is_among = |all: &str| all.split_whitespace().any(|one| one == country);
        match (is_among(SUNDAY), is_among(SATURDAY)) {
            (true, _) => Self::Sunday,
            (_, true) => Self::Saturday,
            _ => Self::Monday,
        }
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
        let viewer = parts.extensions.get::<Viewer>();
        Ok(viewer.map_or_else(Self::default, |one| Self::of_person(one.first_day, &parts.headers)))
    }
}

#[cfg(test)]
mod tests {
    use super::WeekStart;
    use axum::http::HeaderMap;
    use jiff::civil::date;
    use kernel::FirstDay;

    #[test]
    fn a_week_begins_as_chosen_or_as_in_the_country_of_the_language() {
        let mut headers = HeaderMap::new();
        let day = |chosen, headers: &HeaderMap| WeekStart::of_person(chosen, headers);
        assert_eq!(day(FirstDay::Auto, &headers), WeekStart::Monday);
        for (languages, first) in [
            ("en-US,en;q=0.9", WeekStart::Sunday),
            ("en-GB,en-US;q=0.9", WeekStart::Monday),
            ("de", WeekStart::Monday),
            ("pt-br", WeekStart::Sunday),
            ("zh-Hant-TW", WeekStart::Sunday),
            ("ja,en-US;q=0.9", WeekStart::Sunday),
            ("ar", WeekStart::Saturday),
            ("ar-SA", WeekStart::Sunday),
            ("en-AE;q=1", WeekStart::Saturday),
            ("*", WeekStart::Monday),
        ] {
            headers.insert("accept-language", languages.parse().unwrap());
            assert_eq!(day(FirstDay::Auto, &headers), first, "{languages}");
            assert_eq!(day(FirstDay::Monday, &headers), WeekStart::Monday);
        }
        for (first, word, _) in WeekStart::ALL {
            assert_eq!(day(word.parse().unwrap(), &headers), first);
        }
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
