//! Sends mail through a configured SMTP server. Only this module names the SMTP library; callers use a [`Mailer`] that
//! takes a [`Letter`].

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

/// Time limit for each server response.
const PATIENCE: Duration = Duration::from_secs(20);

/// Transport security of an SMTP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    /// TLS from the first byte, usually on port 465.
    Tls,
    /// STARTTLS, usually on port 587. Nothing is sent without TLS.
    StartTls,
    /// No encryption: only for a server on this machine.
    Open,
}

/// An SMTP server with its credentials.
#[derive(Clone)]
pub struct MailServer {
    /// Host name.
    pub host: String,
    pub port: u16,
    pub secrecy: Secrecy,
    /// User name and password, if required.
    pub login: Option<(String, String)>,
}

impl fmt::Debug for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MailServer({}:{})", self.host, self.port)
    }
}

/// An email, as plain text and as HTML.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Letter {
    /// Sender: an address, or `Name <address>`.
    pub from: String,
    /// Recipient.
    pub to: String,
    pub subject: String,
    /// Plain text body.
    pub text: String,
    /// HTML body.
    pub html: String,
    /// Message id. Stable across retries, so that recipients can deduplicate.
    pub id: String,
    /// One-click unsubscribe URL, or empty.
    pub unsubscribe: String,
}

/// Why an email was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// Invalid address.
    #[error("{0} isn't an email address")]
    BadAddress(String),
    /// Permanent rejection by the server.
    #[error("the mail server refused: {0}")]
    Refused(String),
    /// Temporary failure.
    #[error("couldn't use the mail server: {0}")]
    Failed(String),
}

impl MailError {
    /// Returns `true` if a retry may succeed.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

/// Future of a delivery.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), MailError>> + Send + 'a>>;

/// Delivers emails.
pub trait Mailer: Send + Sync {
    /// Sends an email. Completes when the server has accepted it.
    fn send<'a>(&'a self, server: &'a MailServer, letter: &'a Letter) -> Sending<'a>;
}

/// The production mailer: SMTP.
#[derive(Clone, Copy, Debug, Default)]
pub struct Smtp;

impl Mailer for Smtp {
    fn send<'a>(&'a self, server: &'a MailServer, letter: &'a Letter) -> Sending<'a> {
        Box::pin(async move {
            let message = message(letter)?;
            let sent = transport(server)?.send(message).await;
            sent.map(drop).map_err(|error| {
                let words = words(&error);
                match error.is_permanent() {
                    true => MailError::Refused(words),
                    false => MailError::Failed(words),
                }
            })
        })
    }
}

/// Validates an address at input time.
pub fn check_address(text: &str) -> Result<(), MailError> {
    mailbox(text).map(drop)
}

fn mailbox(text: &str) -> Result<Mailbox, MailError> {
    text.trim().parse().map_err(|_| MailError::BadAddress(text.trim().to_owned()))
}

fn message(letter: &Letter) -> Result<Message, MailError> {
    let mut message = Message::builder()
        .from(mailbox(&letter.from)?)
        .to(mailbox(&letter.to)?)
        .subject(letter.subject.replace(['\r', '\n'], " "))
        .date_now()
        .message_id(Some(format!("<{}@hq>", letter.id)));
    if !letter.unsubscribe.is_empty() {
        let link = format!("<{}>", letter.unsubscribe);
        message = message.raw_header(header("List-Unsubscribe", link)?);
        let click = "List-Unsubscribe=One-Click".to_owned();
        message = message.raw_header(header("List-Unsubscribe-Post", click)?);
    }
    let body = MultiPart::alternative_plain_html(letter.text.clone(), letter.html.clone());
    message.multipart(body).map_err(|error| MailError::Refused(error.to_string()))
}

fn header(name: &str, value: String) -> Result<HeaderValue, MailError> {
    let name = HeaderName::new_from_ascii(name.to_owned());
    let name = name.map_err(|error| MailError::Refused(error.to_string()))?;
    Ok(HeaderValue::new(name, value))
}

fn transport(server: &MailServer) -> Result<AsyncSmtpTransport<Tokio1Executor>, MailError> {
    let tls = || {
        TlsParameters::new(server.host.clone()).map_err(|error| MailError::Failed(words(&error)))
    };
    let tls = match server.secrecy {
        Secrecy::Tls => Tls::Wrapper(tls()?),
        Secrecy::StartTls => Tls::Required(tls()?),
        Secrecy::Open => Tls::None,
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.host)
        .port(server.port)
        .tls(tls)
        .hello_name(ClientId::Domain("hq".to_owned()))
        .timeout(Some(PATIENCE));
    if let Some((name, password)) = &server.login {
        builder = builder.credentials(Credentials::new(name.clone(), password.clone()));
    }
    Ok(builder.build())
}

/// The error message with all causes.
fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        cause = inner.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::{Letter, MailError, check_address, message};

    fn letter() -> Letter {
        Letter {
            from: "HQ <hq@marlow.example>".into(),
            to: "mira@marlow.example".into(),
            subject: "Ada asks\r\nBcc: all@marlow.example".into(),
            text: "Zwölf Boxkämpfer".into(),
            html: "<p>Zwölf Boxkämpfer</p>".into(),
            id: "1".into(),
            unsubscribe: "https://hq.example/unsubscribe/x".into(),
        }
    }

    #[test]
    fn a_letter_has_both_forms_and_no_header_of_somebody_else() {
        let bytes = message(&letter()).unwrap().formatted();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(!head.to_lowercase().contains("\nbcc:"), "{head}");
        assert!(head.contains("List-Unsubscribe: <https://hq.example/unsubscribe/x>"), "{head}");
        assert!(head.contains("multipart/alternative"), "{head}");
        assert!(body.contains("text/plain") && body.contains("text/html"), "{body}");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        assert!(check_address("Mira Lang <mira@marlow.example>").is_ok());
        let bad = check_address("mira").unwrap_err();
        assert_eq!(bad, MailError::BadAddress("mira".into()));
        assert!(!bad.is_passing() && MailError::Failed(String::new()).is_passing());
        assert!(message(&Letter { to: "nobody".into(), ..letter() }).is_err());
    }
}
