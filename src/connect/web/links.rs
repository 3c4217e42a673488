//! What a page says of itself and of others in its HTML: where its links lead, which address is its own, whether robots
//! may keep it.

use url::Url;

/// The most links of a page.
const MOST: usize = 2_000;
/// The longest address.
const LONGEST: usize = 1_000;

/// The links of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Addresses of pages, without what stands behind `#`.
    pub to: Vec<Url>,
    /// The address that it says is its own.
    pub canonical: Option<Url>,
    /// Whether it asks not to be kept.
    pub noindex: bool,
    /// Whether it asks that its links are not followed.
    pub nofollow: bool,
}

/// The links in a page of this address.
#[must_use]
pub fn of(html: &str, url: &Url) -> Links {
    let mut links = Links::default();
    let mut base = url.clone();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
            continue;
        }
        let end = rest.find(|sign: char| !sign.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let name = rest[..end].to_ascii_lowercase();
        rest = &rest[end..];
        if matches!(name.as_str(), "script" | "style") {
            rest = past(rest, &name);
            continue;
        }
        if !matches!(name.as_str(), "a" | "area" | "link" | "meta" | "base") {
            continue;
        }
        let (tag, after) = attributes(rest);
        rest = after;
        let get = |key: &str| tag.iter().find(|(name, _)| name == key).map(|(_, value)| value);
        let has = |key: &str, word: &str| {
            get(key).is_some_and(|value| {
                value.split([' ', ',']).any(|one| one.trim().eq_ignore_ascii_case(word))
            })
        };
        let to = |base: &Url| {
            let href = get("href").filter(|href| href.len() <= LONGEST)?;
            // ok: what is no address leads nowhere.
            base.join(href.trim()).ok()
        };
        match name.as_str() {
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

/// An address without what stands behind `#`.
#[must_use]
pub fn plain(mut url: Url) -> Url {
    url.set_fragment(None);
    url
}

/// What follows an element in which nothing is markup.
fn past<'h>(rest: &'h str, name: &str) -> &'h str {
    let mut from = 0;
    while let Some(at) = rest[from..].find("</") {
        from += at + 2;
        let end = rest.as_bytes().get(from..from + name.len());
        if end.is_some_and(|end| end.eq_ignore_ascii_case(name.as_bytes())) {
            return &rest[from..];
        }
    }
    ""
}

/// The attributes of a tag, names in small letters, and what follows it.
fn attributes(mut rest: &str) -> (Vec<(String, String)>, &str) {
    let mut all = Vec::new();
    loop {
        rest = rest.trim_start_matches(|sign: char| sign.is_ascii_whitespace() || sign == '/');
        if let Some(after) = rest.strip_prefix('>') {
            return (all, after);
        }
        let ends = |sign: char| sign.is_ascii_whitespace() || matches!(sign, '=' | '>' | '/');
        // A name that begins with an odd sign still has one.
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let Some(end) = rest.get(first..).and_then(|more| more.find(ends)) else {
            return (all, "");
        };
        let name = rest[..first + end].to_ascii_lowercase();
        rest = rest[first + end..].trim_start();
        let mut value = "";
        if let Some(after) = rest.strip_prefix('=') {
            let after = after.trim_start();
            let quote = after.chars().next().filter(|sign| matches!(sign, '"' | '\''));
            let cut = match quote {
                Some(quote) => after[1..].split_once(quote),
                None => after
                    .find(|sign: char| sign.is_ascii_whitespace() || sign == '>')
                    .map(|end| after.split_at(end)),
            };
            let Some((found, after)) = cut else { return (all, "") };
            (value, rest) = (found, after);
        }
        if all.len() < 40 {
            all.push((name, value.replace("&amp;", "&").replace("&#38;", "&")));
        }
    }
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
