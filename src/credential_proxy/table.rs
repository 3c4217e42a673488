//! The stand-ins of one run: which random word stands for which value, for which host, and where in a request.

use std::collections::HashSet;
use std::fmt;

use zeroize::Zeroizing;

use super::error::StandinError;
use super::finder::{Finder, Looks};
use super::forms;
use super::token::{self, Token};

/// The port of a secret unless it says another.
pub const HTTPS: u16 = 443;
/// The port at which nothing is sealed: a secret is sent there only when it names it.
pub const HTTP: u16 = 80;
/// The shortest value that is looked for in answers: a shorter one would tear holes into ordinary text.
const MIN_ECHO: usize = 8;
/// A longer value is looked for as it is only: each form costs memory.
const MAX_ALL_FORMS: usize = 4096;
/// How many characters of a stand-in are known again by themselves. Whatever is nearly twice as long holds one.
const PART: usize = 12;

/// The value of a secret: wiped when dropped, shown by nothing.
pub struct Value(Zeroizing<Vec<u8>>);

impl Value {
    /// Takes over a value.
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
    /// Any header that is not about the request itself, also within `Authorization: Basic`.
    Headers,
    /// The query of the address.
    Query,
    /// The value of this parameter of the query alone.
    Parameter(String),
    /// The path of the address.
    Path,
    /// A field of a form, or a text at the top of a JSON object.
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

/// How a stand-in looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `hqs_` and 43 random characters.
    Plain,
    /// As long as the value and with its beginning, where that says what kind of key it is.
    AsValue,
}

/// A secret that gets a stand-in.
pub struct NewStandin {
    /// What it is called in reports and refusals.
    pub id: String,
    /// What its stand-in is swapped for.
    pub value: Value,
    /// Names, addresses, and `*.example.com` for all below a name.
    pub hosts: Vec<String>,
    /// The one port, usually [`HTTPS`]. At [`HTTP`] it is sent unsealed.
    pub port: u16,
    /// Where it may stand; nothing means headers.
    pub places: Vec<Place>,
    /// How its stand-in looks.
    pub shape: Shape,
}

/// A secret with its stand-in.
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

    /// Whether it may stand in a place.
    pub(crate) fn fits(&self, place: &Place) -> bool {
        let in_query = matches!(place, Place::Parameter(_)) && self.places.contains(&Place::Query);
        in_query || self.places.contains(place)
    }
}

/// What was found in a request, by the number of the secret.
#[derive(Clone, Copy)]
pub(crate) enum Met {
    /// A stand-in.
    Whole(usize),
    /// A piece of one.
    Part(usize),
    /// One in an encoding.
    Hidden(usize),
    /// What looks like one but is none of this run.
    Unknown,
}

/// The stand-ins of one run. When the run ends it is dropped, and its stand-ins are worth nothing.
pub struct Standins {
    pub(crate) entries: Vec<Entry>,
    /// Looks through requests, and what each number means.
    pub(crate) words: Finder,
    met: Vec<Met>,
    /// Looks through answers, and what takes the place of each number.
    pub(crate) echoes: Finder,
    back: Vec<Vec<u8>>,
    /// Whether answers keep their length when values are changed back.
    pub(crate) keeps_length: bool,
}

impl Standins {
    /// Makes a stand-in for each secret.
    ///
    /// # Errors
    /// A secret without a value or a host, with a host that is none, or twice.
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

    /// Each secret with its stand-in, in the order in which they were given.
    pub fn tokens(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|entry| (entry.id.as_str(), entry.token.as_str()))
    }

    /// Whether a secret is for this host and port: only then is its connection ended here.
    pub fn cover(&self, host: &str, port: u16) -> bool {
        self.entries.iter().any(|entry| entry.is_for(host, port))
    }

    /// Whether a field of a body may hold a stand-in there.
    pub(crate) fn have_fields(&self, host: &str, port: u16) -> bool {
        let has = |entry: &Entry| entry.places.iter().any(|p| matches!(p, Place::Field(_)));
        self.entries.iter().any(|entry| has(entry) && entry.is_for(host, port))
    }

    /// Whether a secret names this place.
    pub(crate) fn name(&self, place: &Place) -> bool {
        self.entries.iter().any(|entry| entry.places.contains(place))
    }

    pub(crate) fn meaning(&self, number: usize) -> Met {
        self.met.get(number).copied().unwrap_or(Met::Unknown)
    }

    /// What takes the place of an echo.
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

/// What is looked for in requests because of one stand-in.
fn words_of(token: &str, known: usize, number: usize) -> Vec<(Vec<u8>, Met)> {
    let bytes = token.as_bytes();
    let mut words = vec![(bytes.to_vec(), Met::Whole(number))];
    let parts = bytes[known..].chunks_exact(PART).map(|part| (part.to_vec(), Met::Part(number)));
    words.extend(parts);
    words.extend(forms::hidden(bytes).into_iter().map(|form| (form, Met::Hidden(number))));
    words
}

/// What is looked for in answers because of one value, and what takes its place: the stand-in for the value itself; for
/// another form of it as much of the stand-in as that form is long, since nobody reads such a form again.
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

/// A host as it is compared: lower case, no final dot, no brackets.
pub(crate) fn normal(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase()
}
