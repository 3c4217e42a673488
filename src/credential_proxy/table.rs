//! Placeholders of one run: which random token represents which value, for which host, and where in a request.

use std::collections::HashSet;
use std::fmt;

use zeroize::Zeroizing;

use super::error::StandinError;
use super::finder::{Finder, Looks};
use super::forms;
use super::token::{self, Token};

/// Default port of a secret.
pub const HTTPS: u16 = 443;
/// Port without TLS: a secret is sent to it only if the secret names it.
pub const HTTP: u16 = 80;
/// Minimum length of a value that is masked in responses. Shorter ones would damage ordinary text.
const MIN_ECHO: usize = 8;
/// Longer values are searched only in plain form: each encoding costs memory.
const MAX_ALL_FORMS: usize = 4096;
/// Length of a placeholder fragment that is detected on its own. Any text of nearly twice this length contains one.
const PART: usize = 12;

/// The value of a secret: wiped on drop, never displayed.
pub struct Value(Zeroizing<Vec<u8>>);

impl Value {
    /// Wraps a value.
    pub fn new(value: impl Into<Vec<u8>>) -> Value {
        Value(Zeroizing::new(value.into()))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A place in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Any header that is not about the request itself, including the content of `Authorization: Basic`.
    Headers,
    /// The query of the URL.
    Query,
    /// Only the value of this query parameter.
    Parameter(String),
    /// The path of the URL.
    Path,
    /// A form field, or a top-level text of a JSON object.
    Field(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Headers => f.write_str("a header"),
            Self::Query => f.write_str("the query"),
            Self::Parameter(name) => write!(f, "the parameter {name}"),
            Self::Path => f.write_str("the path"),
            Self::Field(name) => write!(f, "the field {name}"),
        }
    }
}

/// Format of a placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `hqs_` and 43 random characters.
    Plain,
    /// As long as the value, with its prefix if that identifies the kind of key.
    AsValue,
}

/// A secret that gets a placeholder.
pub struct NewStandin {
    /// Name in reports and refusals.
    pub id: String,
    /// The value that replaces the placeholder.
    pub value: Value,
    /// Host names, addresses, and `*.example.com` for all subdomains.
    pub hosts: Vec<String>,
    /// The only port, usually [`HTTPS`]. On [`HTTP`], the value is sent unencrypted.
    pub port: u16,
    /// Allowed places; empty means headers.
    pub places: Vec<Place>,
    /// Format of the placeholder.
    pub shape: Shape,
}

/// A secret with its placeholder.
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) value: Value,
    pub(crate) places: Vec<Place>,
    pub(crate) token: String,
    hosts: Vec<String>,
    port: u16,
}

impl Entry {
    pub(crate) fn is_for(&self, host: &str, port: u16) -> bool {
        let host = normal(host);
        let fits = |line: &String| match line.strip_prefix("*.") {
            Some(name) => host.strip_suffix(name).is_some_and(|below| below.ends_with('.')),
            None => *line == host,
        };
        self.port == port && self.hosts.iter().any(fits)
    }

    /// Returns `true` if the secret is allowed in this place.
    pub(crate) fn fits(&self, place: &Place) -> bool {
        let in_query = matches!(place, Place::Parameter(_)) && self.places.contains(&Place::Query);
        in_query || self.places.contains(place)
    }
}

/// A finding in a request, with the index of the secret.
#[derive(Clone, Copy)]
pub(crate) enum Met {
    /// A placeholder.
    Whole(usize),
    /// A fragment of a placeholder.
    Part(usize),
    /// An encoded placeholder.
    Hidden(usize),
    /// Looks like a placeholder but is unknown in this run.
    Unknown,
}

/// The placeholders of one run. They become worthless when this is dropped at the end of the run.
pub struct Standins {
    pub(crate) entries: Vec<Entry>,
    /// Finder for requests, and the meaning of each of its numbers.
    pub(crate) words: Finder,
    met: Vec<Met>,
    /// Finder for responses, and the replacement for each of its numbers.
    pub(crate) echoes: Finder,
    back: Vec<Vec<u8>>,
    /// Whether replacing values in responses preserves the length.
    pub(crate) keeps_length: bool,
}

impl Standins {
    /// Generates a placeholder for each secret.
    ///
    /// # Errors
    /// If a secret has no value or host, has an invalid host, or occurs twice.
    pub fn new(secrets: Vec<NewStandin>) -> Result<Standins, StandinError> {
        let mut ids = HashSet::new();
        let (mut entries, mut words, mut met) = (Vec::new(), Vec::new(), Vec::new());
        let (mut echoes, mut back, mut keeps_length) = (Vec::new(), Vec::new(), true);
        for (number, secret) in secrets.into_iter().enumerate() {
            if !ids.insert(secret.id.clone()) {
                return Err(StandinError::Twice { id: secret.id });
            }
            let (entry, known) = entry(secret)?;
            for (word, kind) in words_of(&entry.token, known, number) {
                words.push(word);
                met.push(kind);
            }
            for (echo, instead) in echoes_of(entry.value.bytes(), &entry.token) {
                keeps_length &= echo.len() == instead.len();
                echoes.push(echo);
                back.push(instead);
            }
            entries.push(entry);
        }
        let (words, echoes) =
            (Finder::new(words, Looks::Found), Finder::new(echoes, Looks::Passed));
        Ok(Standins { entries, words, met, echoes, back, keeps_length })
    }

    /// Each secret id with its placeholder, in the given order.
    pub fn tokens(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|entry| (entry.id.as_str(), entry.token.as_str()))
    }

    /// Returns `true` if any secret is for this host and port. Only such connections are terminated here.
    pub fn cover(&self, host: &str, port: u16) -> bool {
        self.entries.iter().any(|entry| entry.is_for(host, port))
    }

    /// Returns `true` if a body field may contain a placeholder for this host.
    pub(crate) fn have_fields(&self, host: &str, port: u16) -> bool {
        let has = |entry: &Entry| entry.places.iter().any(|p| matches!(p, Place::Field(_)));
        self.entries.iter().any(|entry| has(entry) && entry.is_for(host, port))
    }

    /// Returns `true` if any secret allows this place.
    pub(crate) fn name(&self, place: &Place) -> bool {
        self.entries.iter().any(|entry| entry.places.contains(place))
    }

    pub(crate) fn meaning(&self, number: usize) -> Met {
        self.met.get(number).copied().unwrap_or(Met::Unknown)
    }

    /// The replacement for a value in a response.
    pub(crate) fn back(&self, number: usize) -> &[u8] {
        &self.back[number]
    }
}

fn entry(secret: NewStandin) -> Result<(Entry, usize), StandinError> {
    let NewStandin { id, value, hosts, port, mut places, shape } = secret;
    if value.bytes().is_empty() {
        return Err(StandinError::Empty { id });
    }
    if hosts.is_empty() {
        return Err(StandinError::NoHost { id });
    }
    let hosts: Vec<String> = hosts.iter().map(|host| normal(host)).collect();
    let is_bad = |host: &String| {
        let name = host.strip_prefix("*.").unwrap_or(host);
        name.is_empty() || name.contains(|c: char| !c.is_ascii_graphic() || "*/@?#%\\".contains(c))
    };
    if hosts.iter().any(is_bad) {
        return Err(StandinError::BadHost { id });
    }
    if places.is_empty() {
        places.push(Place::Headers);
    }
    let Token { text, known } = match shape {
        Shape::Plain => token::plain(),
        Shape::AsValue => token::shaped(value.bytes()),
    };
    Ok((Entry { id, value, places, token: text, hosts, port }, known))
}

/// The patterns to find in requests for one placeholder.
fn words_of(token: &str, known: usize, number: usize) -> Vec<(Vec<u8>, Met)> {
    let bytes = token.as_bytes();
    let mut words = vec![(bytes.to_vec(), Met::Whole(number))];
    let parts = bytes[known..].chunks_exact(PART).map(|part| (part.to_vec(), Met::Part(number)));
    words.extend(parts);
    words.extend(forms::hidden(bytes).into_iter().map(|form| (form, Met::Hidden(number))));
    words
}

/// The patterns to find in responses for one value, with their replacements: the placeholder for the value itself; for
/// an encoded form, a part of the placeholder of the same length, since nothing decodes it again.
fn echoes_of(value: &[u8], token: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    if value.len() < MIN_ECHO {
        return Vec::new();
    }
    let mut echoes = vec![(value.to_vec(), token.as_bytes().to_vec())];
    if value.len() <= MAX_ALL_FORMS {
        let mut others = vec![forms::percent(value, b"")];
        others.extend(forms::json(value));
        others.extend(forms::hidden(value));
        for other in others.into_iter().filter(|other| other != value) {
            let instead = token.bytes().cycle().take(other.len()).collect();
            echoes.push((other, instead));
        }
    }
    echoes
}

/// Normalizes a host for comparison: lower case, no trailing dot, no brackets.
pub(crate) fn normal(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase()
}
