//! List state in the URL: the parameters of a view, and the differences from it.

/// Parameters of a list as stored in views: `("sort", "-due")`.
pub type Words<'w> = &'w [(&'static str, &'w str)];

/// Query string pairs.
pub type Pairs = Vec<(&'static str, String)>;

/// The parameters that differ from those of the view.
#[must_use]
pub fn differing(now: Words<'_>, own: Words<'_>) -> Pairs {
    let differs = |((name, now), (_, own)): (&(&'static str, &str), &(&'static str, &str))| {
        (now != own).then(|| (*name, (*now).to_owned()))
    };
    now.iter().zip(own).filter_map(differs).collect()
}

/// Returns `true` if a parameter other than the layout differs from the view.
#[must_use]
pub fn is_changed(now: Words<'_>, own: Words<'_>) -> bool {
    differing(now, own).iter().any(|(name, _)| *name != "layout")
}

/// The URL of a page with these query parameters.
#[must_use]
pub fn url(page: &str, pairs: &[(&'static str, String)]) -> String {
    // ok: serializing pairs of texts cannot fail
    let query = serde_urlencoded::to_string(pairs).unwrap_or_default();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{page}{mark}{query}")
}

#[cfg(test)]
mod tests {
    use super::{differing, is_changed, url};

    #[test]
    fn an_address_says_what_differs_from_the_view() {
        let own = [("q", "is:open"), ("layout", ""), ("sort", "")];
        let now = [("q", "is:open"), ("layout", "board"), ("sort", "")];
        assert_eq!(differing(&now, &own), [("layout", "board".to_owned())]);
        assert!(!is_changed(&now, &own), "another layout is no change");
        let now = [("q", ""), ("layout", ""), ("sort", "-a b")];
        assert!(is_changed(&now, &own));
        assert_eq!(url("/w/x/tasks", &differing(&now, &own)), "/w/x/tasks?q=&sort=-a+b");
        assert_eq!(url("/w/x/tasks", &[]), "/w/x/tasks");
    }
}
