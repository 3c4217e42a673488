//! A small browser without scripts: keeps cookies, follows redirects, and finds forms by their buttons and fields by
//! their labels.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crypto::totp::TotpSecret;
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url};
use scraper::{ElementRef, Html, Selector};

use super::wire;

pub struct Browser {
    client: Client,
    base: Url,
    cookies: Mutex<BTreeMap<String, String>>,
}

/// A response.
pub struct Page {
    /// After redirects.
    pub url: Url,
    pub status: StatusCode,
    pub text: String,
}

/// A form to fill in.
#[derive(Clone)]
pub struct Form {
    action: Url,
    fields: Vec<(String, String)>,
    labels: BTreeMap<String, String>,
}

impl Browser {
    /// A browser without cookies.
    pub fn new(base: &str) -> Self {
        Self {
            client: wire::client().build().expect("a client without special settings"),
            base: Url::parse(base).expect("an address"),
            cookies: Mutex::default(),
        }
    }

    /// The same browser after the program has moved to another address.
    #[must_use]
    pub fn moved(self, base: &str) -> Self {
        Self { base: Url::parse(base).expect("an address"), ..self }
    }

    /// Opens a path or URL.
    pub async fn open(&self, path: &str) -> Page {
        let url = self.base.join(path).expect("a path or an address");
        self.follow(self.client.request(Method::GET, url)).await
    }

    /// Submits a form to the program's present address.
    pub async fn submit(&self, form: Form) -> Page {
        let body = serde_urlencoded::to_string(&form.fields).expect("pairs of text");
        let mut to = self.base.clone();
        to.set_path(form.action.path());
        to.set_query(form.action.query());
        let request = self.client.request(Method::POST, to);
        let kind = "application/x-www-form-urlencoded";
        self.follow(request.header(CONTENT_TYPE, kind).body(body)).await
    }

    /// Follows the set-up link and submits the set-up page; ends on the dashboard.
    pub async fn set_up(&self, link: &str) -> Page {
        let form = self
            .open(link)
            .await
            .form("Create and continue")
            .fill("Your name", "Mira Lindqvist")
            .fill("Email", "mira@marlow.example")
            .fill("Password", "a bicycle bell in the fog")
            .fill("Workspace name", "Marlow Cargo");
        let page = self.submit(form).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        assert!(page.heading().contains("Mira"), "{}", page.text);
        page
    }

    async fn follow(&self, mut request: RequestBuilder) -> Page {
        for _ in 0..10 {
            let origin = self.base.origin().ascii_serialization();
            let sent = request
                .header(COOKIE, self.cookie_header())
                .header(ORIGIN, origin)
                .header("sec-fetch-site", "same-origin")
                .header("sec-fetch-mode", "navigate")
                .header("accept", "text/html")
                .send();
            let answer = sent.await.expect("the server answers");
            for cookie in answer.headers().get_all(SET_COOKIE) {
                self.keep(cookie.to_str().expect("a cookie of plain characters"));
            }
            let (url, status) = (answer.url().clone(), answer.status());
            let next = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let Some(next) = next.filter(|_| status.is_redirection()) else {
                let text = answer.text().await.expect("a whole answer");
                return Page { url, status, text };
            };
            let next = url.join(next).expect("an address to go to");
            request = self.client.request(Method::GET, next);
        }
        panic!("more than ten redirects");
    }

    /// Value of the `Cookie` header.
    pub fn cookie_header(&self) -> String {
        let cookies = self.cookies.lock().expect("no holder panics");
        cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn keep(&self, cookie: &str) {
        let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
        let (name, value) = pair.split_once('=').expect("a cookie has a name and a value");
        let mut cookies = self.cookies.lock().expect("no holder panics");
        if attributes.to_ascii_lowercase().contains("max-age=0") {
            cookies.remove(name);
        } else {
            cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

impl Page {
    /// Text of the page's `h1`.
    pub fn heading(&self) -> String {
        let document = Html::parse_document(&self.text);
        document.select(&css("h1")).next().map(words).unwrap_or_default()
    }

    /// The form with this button.
    pub fn form(&self, button: &str) -> Form {
        let document = Html::parse_document(&self.text);
        let forms: Vec<_> = document.select(&css("form")).collect();
        let form = forms
            .into_iter()
            .find(|form| form.select(&css("button")).any(|one| words(one).contains(button)))
            .unwrap_or_else(|| panic!("no button `{button}` on {}:\n{}", self.url, self.text));
        let action = form.attr("action").unwrap_or("");
        let fields = css("input, select, textarea");
        let mut labels = BTreeMap::new();
        for label in form.select(&css("label")) {
            let named = label
                .attr("for")
                .and_then(|id| form.select(&fields).find(|one| one.attr("id") == Some(id)));
            let field = named.or_else(|| label.select(&fields).next());
            if let Some(name) = field.and_then(|field| field.attr("name")) {
                labels.insert(words(label), name.to_owned());
            }
        }
        Form {
            action: self.url.join(action).expect("an address to send to"),
            fields: form.select(&fields).filter_map(value_of).collect(),
            labels,
        }
    }
}

impl Form {
    /// Sets the field with this name.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(field, _)| field != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the field with this label.
    #[must_use]
    pub fn fill(self, label: &str, value: &str) -> Self {
        let named = self.labels.iter().find(|(words, _)| words.starts_with(label));
        let name = named.map(|(_, name)| name.clone());
        let name = name.unwrap_or_else(|| panic!("no field `{label}`; only {:?}", self.labels));
        self.with(&name, value)
    }
}

/// Name and value that a field submits.
fn value_of(field: ElementRef<'_>) -> Option<(String, String)> {
    let name = field.attr("name")?.to_owned();
    let toggle = matches!(field.attr("type"), Some("checkbox" | "radio"));
    if toggle && field.attr("checked").is_none() {
        return None;
    }
    let value = match field.value().name() {
        "select" => {
            let chosen = field.select(&css("option[selected]")).next();
            let option = chosen.or_else(|| field.select(&css("option")).next())?;
            option.attr("value").map_or_else(|| words(option), str::to_owned)
        }
        "textarea" => field.text().collect(),
        _ => field.attr("value").unwrap_or(if toggle { "on" } else { "" }).to_owned(),
    };
    Some((name, value))
}

fn css(selector: &str) -> Selector {
    Selector::parse(selector).expect("a selector written in this file")
}

fn words(element: ElementRef<'_>) -> String {
    element.text().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The secret that the authenticator page shows as text.
pub fn secret_of_an_app(page: &str) -> Option<TotpSecret> {
    let document = Html::parse_document(page);
    secret_in_letters(&words(document.select(&css(".steps .code code")).next()?))
}

/// Decodes an authenticator secret from Base32.
pub fn secret_in_letters(text: &str) -> Option<TotpSecret> {
    let text = text.replace(' ', "");
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0u32, 0);
    for letter in text.bytes() {
        let five = letters.iter().position(|one| *one == letter)?;
        held = (held << 5) | u32::try_from(five).ok()?;
        bits += 5;
        if 8 <= bits {
            bits -= 8;
            bytes.push(u8::try_from((held >> bits) & 255).ok()?);
        }
    }
    Some(TotpSecret::from_bytes(&bytes))
}
