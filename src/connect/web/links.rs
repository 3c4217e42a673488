//! Links and declarations in a page's HTML: targets, canonical URL, robots directives.

use net::html::scan::{Scanner, Token, unescape};
use url::Url;

/// Limit of links per page.
const MOST: usize = 2_000;
/// Longest URL.
const LONGEST: usize = 1_000;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// URLs without fragments.
    pub to: Vec<Url>,
    /// The declared canonical URL.
    pub canonical: Option<Url>,
    /// `noindex` directive.
    pub noindex: bool,
    /// `nofollow` directive.
    pub nofollow: bool,
}

/// Parses the links in a page at this URL.
#[must_use]
pub fn of(html: &str, url: &Url) -> Links {
    let mut links = Links::default();
    let mut base = url.clone();
    for token in Scanner::new(html) {
        let Token::Open(tag) = token else { continue };
        let get = |key: &str| tag.get(key).map(unescape);
        let has = |key: &str, word: &str| {
            get(key).is_some_and(|value| {
                value.split([' ', ',']).any(|one| one.trim().eq_ignore_ascii_case(word))
            })
        };
        let to = |base: &Url| {
            let href = get("href").filter(|href| href.len() <= LONGEST)?;
            // ok: an invalid URL leads nowhere.
            base.join(href.trim()).ok()
        };
        match tag.name.as_str() {
            "base" => base = to(url).unwrap_or(base),
            "link" if has("rel", "canonical") && links.canonical.is_none() => {
                links.canonical = to(&base).map(plain);
            }
            "meta" if has("name", "robots") => {
                links.noindex |= has("content", "noindex") || has("content", "none");
                links.nofollow |= has("content", "nofollow") || has("content", "none");
            }
            "a" | "area" if !has("rel", "nofollow") && links.to.len() < MOST => {
                let found = to(&base).filter(|url| matches!(url.scheme(), "http" | "https"));
                links.to.extend(found.map(plain));
            }
            _ => {}
        }
    }
    links
}

/// The URL without its fragment.
#[must_use]
pub fn plain(mut url: Url) -> Url {
    url.set_fragment(None);
    url
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::of;

    #[test]
    fn links_lead_from_the_base_of_the_page() {
        let url = Url::parse("https://a.example/docs/x").unwrap();
        let html = "<!-- <a href=/no> --><script>'<a href=/no>'</script><base href='/help/'>\
            <link rel='canonical' href=y><meta name=robots content='NoIndex, follow'>\
            <a class=b href=\"z?a=1&amp;b=2#part\">z</a><A HREF=/top>top</A><a href='mailto:x@y.z'>m</a>\
            <a rel='nofollow' href=/no>n</a><a href='http://[bad'>b</a><a href=";
        let links = of(html, &url);
        let to: Vec<&str> = links.to.iter().map(Url::as_str).collect();
        assert_eq!(to, ["https://a.example/help/z?a=1&b=2", "https://a.example/top"]);
        assert_eq!(links.canonical.as_ref().map(Url::as_str), Some("https://a.example/help/y"));
        assert!(links.noindex && !links.nofollow);
    }
}
