//! Replaces placeholders with secret values in one request, or gives the reason for a refusal.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::fields::Kind;
use super::forms;
use super::head::{self, HeaderLine, Request};
use super::report::Use;
use super::serve::Way;
use super::table::{Met, Place};

/// Headers about the request itself, which never contain placeholders.
const FRAMES: [&str; 10] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "content-type",
    "expect",
    "trailer",
    "te",
    "upgrade",
    "keep-alive",
];
/// Headers that are not forwarded unchanged.
const OURS: [&str; 3] = ["accept-encoding", "proxy-connection", "proxy-authorization"];
const BASIC: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A refusal, worded for the sender of the request.
pub(crate) struct Refused(pub(crate) String);

/// Encoding of a value at its destination.
#[derive(Clone, Copy)]
enum Written {
    /// Unencoded; must not contain line ends.
    InLine,
    Inside,
    InQuery,
    InPath,
    InForm,
    InJson,
}

/// The part of a request that a text belongs to.
#[derive(Clone, Copy)]
enum Spot<'p> {
    /// A place where values are allowed.
    Open(&'p Place, Written),
    /// Any other place.
    Closed(&'p str),
}

/// Changes of a request other than its placeholders.
#[derive(Clone, Copy, Default)]
pub(crate) struct Changes {
    /// The new body length.
    pub(crate) length: Option<usize>,
}

/// A request in transit.
pub(crate) struct Swap<'w> {
    way: &'w Way<'w>,
    uses: Vec<Use>,
}

impl<'w> Swap<'w> {
    pub(crate) fn new(way: &'w Way<'w>) -> Swap<'w> {
        Swap { way, uses: Vec::new() }
    }

    /// The secrets sent with the request.
    pub(crate) fn into_uses(self) -> Vec<Use> {
        self.uses
    }

    /// The request head for the host.
    pub(crate) fn head(
        &mut self,
        request: &Request,
        changes: Changes,
    ) -> Result<Zeroizing<Vec<u8>>, Refused> {
        let mut out = Zeroizing::new(Vec::with_capacity(4096));
        out.extend_from_slice(request.method.as_bytes());
        out.push(b' ');
        let query = request.target.iter().position(|byte| *byte == b'?');
        let (path, query) = request.target.split_at(query.unwrap_or(request.target.len()));
        self.text(path, Spot::Open(&Place::Path, Written::InPath), &mut out)?;
        self.query(query, &mut out)?;
        out.extend_from_slice(b" HTTP/1.1\r\n");
        for line in &request.lines {
            self.line(request, line, changes, &mut out)?;
        }
        out.extend_from_slice(b"accept-encoding: identity\r\n");
        if let Some(length) = changes.length {
            out.extend_from_slice(format!("content-length: {length}\r\n").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        Ok(out)
    }

    /// The query. Parameters named by a secret are places of their own.
    fn query(&mut self, query: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        let anywhere = Spot::Open(&Place::Query, Written::InQuery);
        let (mark, query) = query.split_at(query.len().min(1));
        out.extend_from_slice(mark);
        let mut from = 0;
        for (at, name) in Kind::Form.fields(query) {
            let place = Place::Parameter(name);
            if self.way.standins.name(&place) {
                self.text(&query[from..at.start], anywhere, out)?;
                self.text(&query[at.clone()], Spot::Open(&place, Written::InQuery), out)?;
                from = at.end;
            }
        }
        self.text(&query[from..], anywhere, out)
    }

    fn line(
        &mut self,
        request: &Request,
        line: &HeaderLine,
        changes: Changes,
        out: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        let name = line.name.to_ascii_lowercase();
        let mut sent = Zeroizing::new(Vec::new());
        self.text(line.name.as_bytes(), Spot::Closed("the name of a header"), &mut sent)?;
        sent.extend_from_slice(b": ");
        if FRAMES.contains(&name.as_str()) {
            self.text(&line.value, Spot::Closed("this header"), &mut sent)?;
        } else {
            self.value(&name, &line.value, &mut sent)?;
        }
        sent.extend_from_slice(b"\r\n");
        let is_remade = changes.length.is_some()
            && matches!(name.as_str(), "content-length" | "transfer-encoding" | "expect");
        // WebSocket is the only supported protocol upgrade.
        let is_other = name == "upgrade" && !request.upgrades;
        if !is_remade && !is_other && !OURS.contains(&name.as_str()) {
            out.extend_from_slice(&sent);
        }
        Ok(())
    }

    fn value(&mut self, name: &str, value: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        let basic = match value.split_at_checked(6) {
            Some((kind, coded))
                if name == "authorization" && kind.eq_ignore_ascii_case(b"basic ") =>
            {
                BASIC.decode(coded.trim_ascii()).ok()
            }
            _ => None,
        };
        let Some(pair) = basic.map(Zeroizing::new) else {
            return self.text(value, Spot::Open(&Place::Headers, Written::InLine), out);
        };
        let (before, mut inner) = (self.uses.len(), Zeroizing::new(Vec::new()));
        self.text(&pair, Spot::Open(&Place::Headers, Written::Inside), &mut inner)?;
        if self.uses.len() == before {
            return self.text(value, Spot::Closed("this header"), out);
        }
        out.extend_from_slice(b"Basic ");
        out.extend_from_slice(Zeroizing::new(BASIC.encode(&*inner)).as_bytes());
        Ok(())
    }

    /// Processes a buffered body whose fields may contain placeholders.
    pub(crate) fn fields(
        &mut self,
        kind: Kind,
        body: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Refused> {
        let mut out = Zeroizing::new(Vec::with_capacity(body.len()));
        let written = if kind == Kind::Form { Written::InForm } else { Written::InJson };
        let mut from = 0;
        for (at, name) in kind.fields(body) {
            self.text(&body[from..at.start], Spot::Closed("the body"), &mut out)?;
            self.text(&body[at.clone()], Spot::Open(&Place::Field(name), written), &mut out)?;
            from = at.end;
        }
        self.text(&body[from..], Spot::Closed("the body"), &mut out)?;
        Ok(out)
    }

    /// Checks trailers.
    pub(crate) fn trailers(&mut self, lines: &[HeaderLine]) -> Result<(), Refused> {
        let mut text = Vec::new();
        head::write(lines, &mut text);
        self.text(&text, Spot::Closed("a trailer"), &mut Vec::new())
    }

    /// Writes a text with placeholders replaced by their values.
    fn text(&mut self, text: &[u8], spot: Spot<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
        let words = &self.way.standins.words;
        let (mut from, mut rest) = (0, Vec::new());
        while let Some(find) = words.next(text, from) {
            let before = &text[from..find.at.start];
            out.extend_from_slice(before);
            rest.extend_from_slice(before);
            rest.push(b' ');
            self.swapped(find.number, spot, out)?;
            from = find.at.end;
        }
        out.extend_from_slice(&text[from..]);
        rest.extend_from_slice(&text[from..]);
        if rest.contains(&b'%')
            && let Some(find) = words.next(&forms::unpercent(&rest), 0)
        {
            let name = match self.way.standins.meaning(find.number) {
                Met::Whole(of) | Met::Part(of) | Met::Hidden(of) => self.of(of),
                Met::Unknown => "a stand-in".to_owned(),
            };
            return Err(encoded(&name));
        }
        Ok(())
    }

    fn swapped(&mut self, number: usize, spot: Spot<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
        let Met::Whole(of) = self.way.standins.meaning(number) else {
            return Err(self.closed(number, ""));
        };
        let (place, written) = match spot {
            Spot::Open(place, written) => (place, written),
            Spot::Closed(place) => return Err(self.closed(number, place)),
        };
        let entry = &self.way.standins.entries[of];
        if !entry.is_for(self.way.host, self.way.port) || !entry.fits(place) {
            return Err(self.closed(number, &place.to_string()));
        }
        let value = entry.value.bytes();
        let coded = Zeroizing::new(match written {
            Written::InLine
                if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') =>
            {
                return Err(Refused(format!(
                    "the value of {} has several lines, but a header can only have one; send it \
                     elsewhere",
                    entry.id
                )));
            }
            Written::InLine | Written::Inside => value.to_vec(),
            Written::InPath => forms::percent(value, b":@"),
            Written::InQuery | Written::InForm => forms::percent(value, b""),
            Written::InJson => forms::json(value).ok_or_else(|| {
                Refused(format!("the value of {} isn't text, which JSON requires", entry.id))
            })?,
        });
        out.extend_from_slice(&coded);
        let (id, host) = (entry.id.clone(), self.way.host.to_owned());
        self.uses.push(Use { id, host, place: place.clone(), count: 1 });
        Ok(())
    }

    /// Why a finding is not allowed in a place.
    pub(crate) fn closed(&self, number: usize, place: &str) -> Refused {
        let host = self.way.host;
        match self.way.standins.meaning(number) {
            Met::Whole(of) => {
                let entry = &self.way.standins.entries[of];
                let name = self.of(of);
                if !entry.is_for(host, self.way.port) {
                    return Refused(format!("{name} isn't for {host}:{}", self.way.port));
                }
                let places: Vec<String> = entry.places.iter().map(Place::to_string).collect();
                let places = places.join(" or ");
                Refused(format!("{name} can't be in {place}; send it in {places}"))
            }
            Met::Part(of) => {
                Refused(format!("only a part of {} was sent; send all of it", self.of(of)))
            }
            Met::Hidden(of) => encoded(&self.of(of)),
            Met::Unknown => Refused(
                "a placeholder is unknown; those of another or an ended run don't work".to_owned(),
            ),
        }
    }

    fn of(&self, number: usize) -> String {
        format!("the placeholder of {}", self.way.standins.entries[number].id)
    }
}

fn encoded(name: &str) -> Refused {
    Refused(format!("{name} is encoded; send it as it is"))
}
