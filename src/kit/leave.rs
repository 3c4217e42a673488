//! A page that leads to another site. A form must not redirect there, by the content security policy.

use askama::Template;
use axum::response::Response;
use entity::Fields;
use store::schema::id_text;
use web::cx::Cx;
use web::error::Failure;
use web::html;
use web::shell::Shell;

use crate::pages::place;
use crate::{Noun, Op, Page, records};

#[derive(Template)]
#[template(path = "kit/leave.html")]
struct LeavePage {
    shell: Shell,
    here: &'static str,
    title: String,
    host: String,
    url: String,
    back: String,
}

/// The page after an operation with [`crate::Answers::Link`].
pub(crate) fn page(
    noun: &'static Noun,
    page: &'static Page,
    (op, key): (&Op, Option<&[u8]>),
    cx: &Cx,
    text: &str,
) -> Result<Response, Failure> {
    let reply: Fields = serde_json::from_str(text).map_err(Failure::internal)?;
    let name = match key {
        Some(key) => cx.read(|read| records::title(noun, read, key))?,
        None => String::new(),
    };
    let (here, at) = (place(noun, cx), key.map(id_text).unwrap_or_default());
    let leaving = LeavePage {
        shell: cx.shell()?,
        here: page.tabs.first().map_or(noun.plural, |(plural, _)| plural),
        title: format!("{} · {name}", op.verb),
        host: entity::text_of(&reply, "host").to_owned(),
        url: entity::text_of(&reply, "url").to_owned(),
        back: format!("{here}?edit={at}#form"),
    };
    html::page::<_, Failure>(&leaving)
}
