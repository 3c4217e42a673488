//! Mails as programs save them: who wrote to whom and when, the text, and the names of what is attached.

use mail_parser::{Addr, Address, Message, MessageParser, MimeHeaders as _, PartType};

use super::{Found, Refused, html};

/// The most people that are named in one line.
const MOST_PEOPLE: usize = 200;
/// The most attachments that are named.
const MOST_ATTACHED: usize = 200;
/// How many lines may stand above the first that tells a mail.
const HEAD: usize = 40;
/// What only mails have at their head.
const SIGNS: &[&str] =
    &["from", "received", "return-path", "message-id", "mime-version", "subject"];

/// Whether a text begins as a mail does.
pub(crate) fn is_mail(start: &str) -> bool {
    let mut signs = 0;
    for line in start.lines().take(HEAD) {
        // A line that is indented goes on the one above.
        if line.starts_with([' ', '\t']) {
            continue;
        }
        let Some((name, _)) = line.split_once(':') else { break };
        if name.is_empty() || !name.bytes().all(|sign| sign.is_ascii_alphanumeric() || sign == b'-')
        {
            break;
        }
        signs += usize::from(SIGNS.contains(&name.to_ascii_lowercase().as_str()));
    }
    signs > 1
}

/// Reads a mail.
pub(crate) fn file(bytes: &[u8], found: &mut Found<'_>) -> Result<(), Refused> {
    let mail = MessageParser::default().parse(bytes).ok_or(Refused::Damaged)?;
    if let Some(subject) = mail.subject() {
        found.name(subject);
    }
    let head = head(&mail);
    found.push(None, head);
    for part in mail.text_bodies() {
        match &part.body {
            PartType::Text(text) => found.push(None, text.replace("\r\n", "\n").trim().to_owned()),
            // A page alone, without the same words as text.
            PartType::Html(page) => {
                let mut writer = found.writer();
                html::document(page.as_bytes(), &mut writer, found)?;
                found.push(None, writer.take());
                found.cut |= writer.is_full();
            }
            _ => (),
        }
    }
    let attached: Vec<String> = mail
        .attachments()
        .take(MOST_ATTACHED)
        .map(|part| part.attachment_name().map_or_else(|| unnamed(part), plain))
        .filter(|name| !name.is_empty())
        .collect();
    if !attached.is_empty() {
        found.push(None, format!("Attachments: {}", attached.join(", ")));
    }
    Ok(())
}

fn head(mail: &Message<'_>) -> String {
    let people = |people: Option<&Address<'_>>| {
        let people = people.into_iter().flat_map(Address::iter).take(MOST_PEOPLE).map(person);
        people.filter(|person| !person.is_empty()).collect::<Vec<_>>().join(", ")
    };
    let date = mail.date().filter(|date| date.is_valid());
    let lines = [
        ("Subject", mail.subject().map(plain).unwrap_or_default()),
        ("From", people(mail.from())),
        ("To", people(mail.to())),
        ("Cc", people(mail.cc())),
        ("Date", date.map(|date| date.to_rfc3339().replace('T', " ")).unwrap_or_default()),
    ];
    let told = lines.into_iter().filter(|(_, value)| !value.is_empty());
    told.map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join("\n")
}

fn person(person: &Addr<'_>) -> String {
    match (person.name().map(plain), person.address().map(plain)) {
        (Some(name), Some(address)) => format!("{name} ({address})"),
        (name, address) => name.or(address).unwrap_or_default(),
    }
}

/// A mail or a file within the mail that has no name.
fn unnamed(part: &mail_parser::MessagePart<'_>) -> String {
    match &part.body {
        PartType::Message(mail) => mail.subject().map(plain).unwrap_or_else(|| "a mail".to_owned()),
        _ => String::new(),
    }
}

/// A text on one line.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::{Extracted, Kind, Limits, State, extract};
    use super::is_mail;

    fn read(mail: &str) -> Extracted {
        let found = extract(mail.as_bytes(), "offer.EML", &Limits::default()).expect("a mail");
        assert_eq!((found.kind, found.state), (Kind::Mail, State::Text));
        found
    }

    fn text(found: &Extracted) -> String {
        let parts: Vec<&str> = found.parts.iter().map(|part| part.text.as_str()).collect();
        parts.join("\n\n")
    }

    #[test]
    fn a_mail_is_decoded_with_its_text_and_the_names_of_its_attachments() {
        let mail = "Return-Path: <zoe@muster.example>\r\n\
            From: =?utf-8?Q?Zo=C3=AB_M=C3=BCller?= <zoe@muster.example>\r\n\
            To: \"Adams, Ada\" <ada@firma.example>,\r\n bob@firma.example\r\n\
            Subject: =?iso-8859-1?B?QW5nZWJvdCBm/HIgS/ZsbiA=?=\r\n =?utf-8?Q?=E2=82=AC?=\r\n\
            Date: Sun, 15 Mar 2026 14:30:00 +0100\r\nMIME-Version: 1.0\r\n\
            Content-Type: multipart/mixed; boundary=out\r\n\r\n\
            --out\r\nContent-Type: multipart/alternative; boundary=in\r\n\r\n\
            --in\r\nContent-Type: text/plain; charset=utf-8\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\r\n\
            Die gr=C3=BC=\r\nne Tonne =3D 5 =E2=82=AC\r\n\
            --in\r\nContent-Type: text/html\r\n\r\n<p>PAGEWORD</p>\r\n--in--\r\n\
            --out\r\nContent-Type: application/pdf\r\n\
            Content-Disposition: attachment; filename*=utf-8''Angebot%20K%C3%B6ln.pdf\r\n\
            Content-Transfer-Encoding: base64\r\n\r\nJVBERi0xLjQ=\r\n--out--\r\n";
        let found = read(mail);
        assert_eq!(
            text(&found),
            "Subject: Angebot für Köln €\nFrom: Zoë Müller (zoe@muster.example)\n\
             To: Adams, Ada (ada@firma.example), bob@firma.example\nDate: 2026-03-15 14:30:00+01:00\n\n\
             Die grüne Tonne = 5 €\n\nAttachments: Angebot Köln.pdf"
        );
        assert_eq!(found.title.as_deref(), Some("Angebot für Köln €"));
    }

    #[test]
    fn a_mail_that_is_only_a_page_is_read_as_one() {
        let mail = "From: a@b.example\nSubject: News\nContent-Type: text/html; charset=utf-8\n\
            Content-Transfer-Encoding: base64\n\n\
            PHRpdGxlPnRhYjwvdGl0bGU+PHA+R3LDvMOfZSBhdXMgPGI+S8O2bG48L2I+PC9wPjxzY3JpcHQ+eDwvc2NyaXB0Pg==\n";
        let found = read(mail);
        assert!(text(&found).ends_with("\n\nGrüße aus Köln"), "{}", text(&found));
        assert_eq!(found.title.as_deref(), Some("News"));
    }

    #[test]
    fn what_only_looks_like_a_mail_stays_text() {
        assert!(is_mail("Received: by x\n for y\nFrom: a\n\nhello"));
        for start in ["Note: x\nFrom: here", "hello", "", "From: the beginning on, it rained"] {
            assert!(!is_mail(start), "{start}");
        }
        let note = extract(b"hello", "a.eml", &Limits::default()).expect("a text");
        assert_eq!(note.kind, Kind::Text);
    }
}
