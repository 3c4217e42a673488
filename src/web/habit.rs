//! Display preferences of a browser, stored in cookies for one year: theme, layout of lists, timeline detail.
//! Each has its own cookie. They never affect permissions.

use axum::http::header::{COOKIE, HeaderMap, HeaderValue};

/// The value of a preference cookie; empty without one.
#[must_use]
pub fn kept<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';'));
    let mut pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(one, _)| *one == name).map_or("", |(_, word)| word)
}

/// The `Set-Cookie` value of a preference, not readable by scripts; `None` if the value is invalid in a header.
#[must_use]
pub fn keep(name: &str, word: &str) -> Option<HeaderValue> {
    let line = format!("{name}={word}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax");
    HeaderValue::try_from(line).ok()
}

#[cfg(test)]
mod tests {
    use super::{keep, kept};
    use axum::http::HeaderMap;

    #[test]
    fn a_word_is_found_under_its_own_name_alone() {
        let mut headers = HeaderMap::new();
        assert_eq!(kept(&headers, "hq_lines"), "");
        headers.append("cookie", "a=b; my_hq_lines=monday; hq_lines=sunday".parse().unwrap());
        headers.append("cookie", "hq_timeline=comments".parse().unwrap());
        assert_eq!(kept(&headers, "hq_lines"), "sunday");
        assert_eq!(kept(&headers, "hq_timeline"), "comments");
        assert_eq!(kept(&headers, "week"), "");
    }

    #[test]
    fn a_word_that_cannot_stand_in_a_header_is_not_kept() {
        let line = keep("hq_lines", "sunday").expect("a header");
        assert_eq!(line, "hq_lines=sunday; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax");
        assert_eq!(keep("hq_lines", "a\nb"), None);
    }
}
