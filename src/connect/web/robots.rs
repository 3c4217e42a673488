//! `robots.txt` (RFC 9309): the group that names HQ, else the one for `*`. The longest matching rule decides; of two
//! equally long ones, the one that allows.

use std::time::Duration;

/// User agent name of HQ.
const NAME: &str = "hq";
/// Bytes that are read.
pub const MOST: usize = 512 * 1024;
const MOST_RULES: usize = 5_000;
/// Longest `Crawl-delay` that is obeyed.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Robots {
    rules: Vec<Rule>,
    /// `Crawl-delay`.
    pub pause: Option<Duration>,
    pub sitemaps: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    allows: bool,
    path: String,
}

impl Robots {
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut own = Self::default();
        let mut all = Self::default();
        let mut sitemaps = Vec::new();
        let (mut is_own, mut is_all, mut named, mut is_there) = (false, false, false, false);
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default().trim_start_matches('\u{feff}');
            let Some((key, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match key.trim().to_ascii_lowercase().as_str() {
                "user-agent" => {
                    // Consecutive names share the rules below them.
                    if !named {
                        (is_own, is_all) = (false, false);
                    }
                    named = true;
                    let name = value.split('/').next().unwrap_or_default().trim();
                    is_own |= name.eq_ignore_ascii_case(NAME);
                    is_all |= name == "*";
                    is_there |= is_own;
                }
                "sitemap" => {
                    if sitemaps.len() < 50 {
                        sitemaps.push(value.to_owned());
                    }
                }
                key => {
                    named = false;
                    for (group, _) in [(&mut own, is_own), (&mut all, is_all)]
                        .into_iter()
                        .filter(|(_, holds)| *holds)
                    {
                        group.take(key, value);
                    }
                }
            }
        }
        Self { sitemaps, ..if is_there { own } else { all } }
    }

    fn take(&mut self, key: &str, value: &str) {
        match key {
            "allow" | "disallow" if !value.is_empty() && self.rules.len() < MOST_RULES => {
                self.rules.push(Rule { allows: key == "allow", path: value.to_owned() });
            }
            "crawl-delay" => {
                // ok: an invalid number means no delay.
                let secs = value.parse::<f64>().ok();
                let pause = secs.and_then(|secs| Duration::try_from_secs_f64(secs).ok());
                self.pause = pause.map(|pause| pause.min(LONGEST_PAUSE));
            }
            _ => {}
        }
    }

    /// Whether a path, with its query, may be read.
    #[must_use]
    pub fn allows(&self, path: &str) -> bool {
        let fits = self.rules.iter().filter(|rule| matches(&rule.path, path));
        let longest = fits.max_by_key(|rule| (rule.path.len(), rule.allows));
        longest.is_none_or(|rule| rule.allows)
    }
}

/// Whether a rule matches a path: prefix match, `*` for anything, `$` for the end.
fn matches(rule: &str, path: &str) -> bool {
    let (rule, to_end) = match rule.strip_suffix('$') {
        Some(rule) => (rule, true),
        None => (rule, false),
    };
    let mut parts = rule.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = path.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return !to_end || rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    if to_end { rest.ends_with(last) } else { rest.contains(last) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Robots;

    #[test]
    fn the_own_group_and_the_longest_rule_decide() {
        let text = "User-agent: other\nDisallow: /\n\nUser-Agent: *\nDisallow: /private # not this\nAllow: /private/open\n\
            Disallow: /*.pdf$\nDisallow: /a*/c\nCrawl-delay: 2\nSitemap: https://x.example/map.xml\n";
        let robots = Robots::parse(text);
        for (path, allowed) in [
            ("/", true),
            ("/private/x", false),
            ("/private/open/x", true),
            ("/x.pdf", false),
            ("/x.pdf?y", true),
            ("/ab/b/c/d", false),
            ("/ab", true),
        ] {
            assert_eq!(robots.allows(path), allowed, "{path}");
        }
        assert_eq!(robots.pause, Some(Duration::from_secs(2)));
        assert_eq!(robots.sitemaps, ["https://x.example/map.xml"]);
        let own = Robots::parse(
            "User-agent: HQ/0.1\nUser-agent: x\nAllow: /\n\nUser-agent: *\nDisallow: /",
        );
        assert!(own.allows("/y"));
        assert!(!Robots::parse("User-agent: *\nDisallow: /").allows("/y"));
        assert!(Robots::parse("User-agent: *\nDisallow:").allows("/y"));
        assert!(Robots::parse("<html>").allows("/y"));
    }
}
