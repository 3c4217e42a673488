//! Actions at a site in an agent's browser that need approval. Each site and each kind beyond clicking is approved
//! separately.

use url::Url;

use super::authorize::OutgoingRequest;
use super::model::{Offer, What};

/// Kind of action at a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SiteAct {
    /// Clicks and keys.
    Act,
    /// Submitting a form with a password, card or file.
    Send,
    /// Filling in a secret.
    Secret,
    Download,
    Upload,
    /// Running the agent's script in a page.
    Evaluate,
}

impl SiteAct {
    pub const ALL: [Self; 6] =
        [Self::Act, Self::Send, Self::Secret, Self::Download, Self::Upload, Self::Evaluate];

    /// Method word in a permission.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Act => "ACT",
            Self::Send => "SEND",
            Self::Secret => "SECRET",
            Self::Download => "DOWNLOAD",
            Self::Upload => "UPLOAD",
            Self::Evaluate => "EVALUATE",
        }
    }

    /// Parses a method word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.word().eq_ignore_ascii_case(word))
    }

    /// Display text within a sentence.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Act => "clicks and typing",
            Self::Send => "forms with passwords, cards or files",
            Self::Secret => "filling in secrets",
            Self::Download => "downloads",
            Self::Upload => "files for its pages",
            Self::Evaluate => "scripts in its pages",
        }
    }
}

/// Display text of a site permission.
#[must_use]
pub fn describe(word: &str, host: &str) -> String {
    match SiteAct::of_word(word).map(SiteAct::label) {
        Some(label) => format!("{} at {host}", kernel::text::capitalized(label)),
        None => format!("All actions at {host}"),
    }
}

/// The request of an action at this address; `None` if the address names no site.
#[must_use]
pub fn request_for(act: SiteAct, at: &Url) -> Option<OutgoingRequest> {
    let host = at.host_str()?.trim_end_matches('.').to_ascii_lowercase();
    let is_usual = at.scheme() == "https" && at.port_or_known_default() == Some(443);
    let origin = (!is_usual).then(|| at.origin().ascii_serialization());
    Some(OutgoingRequest { method: act.word().to_owned(), host, is_usual, origin })
}

/// Display name: the host, or the origin if it is not https on port 443.
#[must_use]
pub fn place(request: &OutgoingRequest) -> &str {
    request.origin.as_deref().unwrap_or(&request.host)
}

/// Whether a text is an origin: scheme, host and port.
#[must_use]
pub fn is_origin(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.has_host() && url.origin().ascii_serialization() == text)
}

/// The wider grant offered for these actions: the same kinds at this site.
#[must_use]
pub fn offers(all: &[OutgoingRequest]) -> Vec<Offer> {
    let Some(first) = all.first() else { return Vec::new() };
    let labels =
        SiteAct::ALL.into_iter().filter(|act| all.iter().any(|one| one.method == act.word()));
    let labels: Vec<&str> = labels.map(SiteAct::label).collect();
    let what = |one: &OutgoingRequest| What::Host {
        method: one.method.clone(),
        host: place(one).to_owned(),
    };
    let label = format!("{} at {}", labels.join(", "), place(first));
    vec![Offer { label, whats: all.iter().map(what).collect() }]
}

/// The request behind an approval, from its offers.
#[must_use]
pub fn of_offers(offers: &[Offer]) -> Option<OutgoingRequest> {
    let what = offers.first()?.whats.last()?;
    let What::Host { method, host } = what else { return None };
    let origin = host.contains("://").then(|| host.clone());
    let is_usual = origin.is_none();
    Some(OutgoingRequest { method: method.clone(), host: host.clone(), is_usual, origin })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_its_host_or_its_origin_where_that_is_unusual() {
        let at = |text: &str| Url::parse(text).expect("an address");
        let usual = request_for(SiteAct::Act, &at("https://Shop.example./cart")).expect("a site");
        assert_eq!((place(&usual), usual.is_usual), ("shop.example", true));
        let other = request_for(SiteAct::Send, &at("http://shop.example:8080/")).expect("a site");
        assert_eq!((place(&other), other.is_usual), ("http://shop.example:8080", false));
        assert_eq!(other.host, "shop.example", "what is refused for the host is refused here too");
        assert_eq!(request_for(SiteAct::Act, &at("about:blank")), None);
    }

    #[test]
    fn an_offer_is_for_all_that_the_act_needs() {
        let at = Url::parse("https://shop.example/").expect("an address");
        let all: Vec<OutgoingRequest> =
            [SiteAct::Act, SiteAct::Send].iter().filter_map(|act| request_for(*act, &at)).collect();
        let offers = offers(&all);
        assert_eq!(
            offers[0].label,
            "clicks and typing, forms with passwords, cards or files at shop.example"
        );
        assert_eq!(offers[0].whats.len(), 2);
        assert_eq!(of_offers(&offers), all.last().cloned());
        assert_eq!(
            describe("SEND", "shop.example"),
            "Forms with passwords, cards or files at shop.example"
        );
        assert_eq!(describe("", "shop.example"), "All actions at shop.example");
    }
}
