//! Saved mails (RFC 5322): sender, recipients, date, text, names of attachments, and the text of attached texts and
//! mails.

use mail_parser::{Addr, Address, Message, MessageParser, MessagePart, MimeHeaders as _, PartType};

use super::{Found, Kind, Refused, html, text};

/// Limit of people named in one line.
const MOST_PEOPLE: usize = 200;
/// Limit of attachments named.
const MOST_ATTACHED: usize = 200;
/// Limit of nested mails.
const MOST_MAILS: usize = 500;
/// Deepest nesting of mails that is read.
const DEEPEST: usize = 8;
/// Limit of lines before the first header that identifies a mail.
const HEAD: usize = 40;
/// Headers that identify a mail.
const SIGNS: &[&str] =
    &["from", "received", "return-path", "message-id", "mime-version", "subject"];

/// Whether a text starts like a mail.
pub(crate) fn is_mail(start: &str) -> bool {
    let mut signs = 0;
    for line in start.lines().take(HEAD) {
        // Indented lines continue the header above.
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

/// Upper limit of nested mails: the parser recurses for each.
fn mails_in(bytes: &[u8]) -> usize {
    let kind = b"message/";
    bytes.windows(kind.len()).filter(|part| part.eq_ignore_ascii_case(kind)).count()
}

pub(crate) fn file(bytes: &[u8], found: &mut Found<'_>) -> Result<(), Refused> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if MOST_MAILS < mails_in(bytes) {
        return Err(Refused::TooManyEntries);
    }
    let mail = MessageParser::default().parse(bytes).ok_or(Refused::Damaged)?;
    if let Some(subject) = mail.subject() {
        found.name(subject);
    }
    whole(&mail, DEEPEST, found)
}

fn whole(mail: &Message<'_>, deeper: usize, found: &mut Found<'_>) -> Result<(), Refused> {
    found.push(None, head(mail));
    for part in mail.text_bodies() {
        match &part.body {
            PartType::Text(text) => found.push(None, text.replace("\r\n", "\n").trim().to_owned()),
            // An HTML body without a plain text alternative.
            PartType::Html(page) => {
                let page = html_words(page, found)?;
                found.push(None, page);
            }
            _ => (),
        }
    }
    let attached: Vec<String> = mail
        .attachments()
        .take(MOST_ATTACHED)
        .map(called)
        .filter(|name| !name.is_empty())
        .collect();
    if !attached.is_empty() {
        found.push(None, format!("Attachments: {}", attached.join(", ")));
    }
    let is_body = |part: &MessagePart<'_>| mail.text_bodies().any(|body| std::ptr::eq(body, part));
    for part in mail.attachments().take(MOST_ATTACHED).filter(|part| !is_body(part)) {
        if found.is_full() {
            break;
        }
        attachment(part, deeper, found)?;
    }
    Ok(())
}

/// Reads attached texts and mails. Attached documents are only named.
fn attachment(part: &MessagePart<'_>, deeper: usize, found: &mut Found<'_>) -> Result<(), Refused> {
    let name = part.attachment_name().unwrap_or_default();
    let words = match &part.body {
        PartType::Message(mail) => {
            return match deeper.checked_sub(1) {
                Some(deeper) => whole(mail, deeper, found),
                None => Ok(()),
            };
        }
        PartType::Text(text) => text.replace("\r\n", "\n"),
        PartType::Html(page) => html_words(page, found)?,
        PartType::Binary(bytes) | PartType::InlineBinary(bytes) => match Kind::of(bytes, name) {
            // An unknown encoding only loses the attachment's text.
            Kind::Text | Kind::Markdown | Kind::Csv | Kind::Json => {
                text::whole(bytes, None, found).unwrap_or_default()
            }
            _ => return Ok(()),
        },
        PartType::Multipart(_) => return Ok(()),
    };
    let words = words.trim();
    if words.is_empty() {
        return Ok(());
    }
    let heading = called(part);
    found.push(
        None,
        if heading.is_empty() { words.to_owned() } else { format!("## {heading}\n\n{words}") },
    );
    Ok(())
}

fn html_words(page: &str, found: &mut Found<'_>) -> Result<String, Refused> {
    let mut writer = found.writer();
    html::document(page.as_bytes(), &mut writer, found)?;
    let words = writer.take();
    found.cut |= writer.is_full();
    Ok(words)
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
    let filled = lines.into_iter().filter(|(_, value)| !value.is_empty());
    filled.map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join("\n")
}

fn person(person: &Addr<'_>) -> String {
    match (person.name().map(plain), person.address().map(plain)) {
        (Some(name), Some(address)) => format!("{name} ({address})"),
        (name, address) => name.or(address).unwrap_or_default(),
    }
}

/// Name of an attachment; attached mails without a name use their subject.
fn called(part: &MessagePart<'_>) -> String {
    if let Some(name) = part.attachment_name() {
        return plain(name);
    }
    match &part.body {
        PartType::Message(mail) => mail.subject().map(plain).unwrap_or_else(|| "a mail".to_owned()),
        _ => String::new(),
    }
}

/// Collapses whitespace to single spaces.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::{Extracted, Kind, Limits, Refused, State, extract};
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
    fn attached_texts_and_forwarded_mails_are_read() {
        let mail = "From: a@b.example\nSubject: Fwd\nMIME-Version: 1.0\n\
            Content-Type: multipart/mixed; boundary=out\n\n\
            --out\nContent-Type: text/plain\n\nsee below\n\
            --out\nContent-Type: text/plain\nContent-Disposition: attachment; filename=notes.txt\n\n\
            NOTEWORD\n\
            --out\nContent-Type: application/octet-stream; name=log.csv\n\
            Content-Disposition: attachment; filename=log.csv\n\
            Content-Transfer-Encoding: base64\n\nTE9HV09SRCwxCg==\n\
            --out\nContent-Type: message/rfc822\n\n\
            From: inner@b.example\nSubject: Inner\nContent-Type: text/plain\n\nINNERBODY\n\
            --out--\n";
        let found = read(mail);
        assert_eq!(
            text(&found),
            "Subject: Fwd\nFrom: a@b.example\n\nsee below\n\n\
             Attachments: notes.txt, log.csv, Inner\n\n## notes.txt\n\nNOTEWORD\n\n\
             ## log.csv\n\nLOGWORD,1\n\nSubject: Inner\nFrom: inner@b.example\n\nINNERBODY"
        );
        assert_eq!(found.title.as_deref(), Some("Fwd"));
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
    fn a_mark_of_the_encoding_hides_no_header_and_mails_in_mails_are_bounded() {
        let found = read("\u{feff}From: a@b.example\nSubject: x\n\nhi");
        assert!(text(&found).contains("From: a@b.example"), "{}", text(&found));
        let nested = "Content-Type: message/rfc822\n\n".repeat(100_000);
        let mail = format!("From: a@b.example\nSubject: x\n{nested}");
        let refused = extract(mail.as_bytes(), "a.eml", &Limits::default());
        assert_eq!(refused.err(), Some(Refused::TooManyEntries));
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
