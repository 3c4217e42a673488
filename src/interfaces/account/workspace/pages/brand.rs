//! The brand colour of a workspace: its form in the general settings, and the style sheet that every page links to.

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use app::{App, Ws};
use features::workspace::model::Brand;
use features::workspace::{queries, rules};
use kernel::{Colour, Hue};
use store::{Read, StoreError};
use web::brand::{self, Accents};
use web::error::PageError;
use web::extract::{Form, Query};
use web::hx::Hx;
use web::parts::Choice;
use web::session::Person;
use web::shell::{Flash, Shell};
use web::{flash, headers, html};

/// Form value of a custom colour.
const OWN: &str = "own";
/// HQ's own accent, which a colour field shows without a brand colour.
const USUAL: [u8; 3] = [0x55, 0x46, 0xc8];

/// The form of the brand colour.
pub(super) struct BrandFields {
    pub(super) choices: Vec<Choice>,
    /// The custom colour, or the present one.
    pub(super) own: String,
    pub(super) error: String,
    /// What was done to the colour.
    pub(super) hint: String,
}

impl BrandFields {
    pub(super) fn read(read: &dyn Read) -> Result<Self, StoreError> {
        let colour = queries::brand(read)?.map(|brand| brand.colour);
        let now = match colour {
            None => String::new(),
            Some(Colour::Named(hue)) => hue.word().to_owned(),
            Some(Colour::Own(_)) => OWN.to_owned(),
        };
        let mut choices = vec![Choice::new("", "HQ’s own", now.is_empty())];
        choices.extend(
            Hue::ALL.iter().map(|hue| Choice::new(hue.word(), hue.label(), now == hue.word())),
        );
        choices.push(Choice::new(OWN, "Custom", now == OWN));
        let hint = match colour {
            Some(colour) => Accents::new(colour).note(),
            None => "Colours buttons, links and selections for everyone in this workspace.",
        };
        let own = brand::hex(colour.map_or(USUAL, brand::rgb));
        Ok(Self { choices, own, error: String::new(), hint: hint.to_owned() })
    }
}

/// The submitted form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BrandForm {
    brand: String,
    own: String,
    /// The custom colour that the form was filled with.
    own_was: String,
}

impl BrandForm {
    /// The chosen colour; `None` for HQ's own. A colour field that was changed counts as chosen.
    fn colour(&self) -> Result<Option<Colour>, String> {
        let is_own = self.brand == OWN || (!self.own.is_empty() && self.own != self.own_was);
        let text = if is_own { self.own.as_str() } else { self.brand.as_str() };
        match (text.is_empty(), text.parse::<Colour>()) {
            (true, _) => Ok(None),
            (false, Ok(colour)) => Ok(Some(colour)),
            (false, Err(_)) => Err("Enter a colour such as #1f7a5c.".to_owned()),
        }
    }
}

/// `POST /settings/brand`
pub(super) async fn save(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Form(form): Form<BrandForm>,
) -> Result<Response, PageError> {
    match form.colour() {
        Ok(colour) => {
            ws.write(&who, move |tx| rules::set_brand(tx, colour)).await?;
            let back = hx.go_to(&ws.url("settings/general"));
            Ok(flash::say(&app, Flash::ok("Brand colour saved."), back))
        }
        Err(error) => {
            let mut page = super::page(&ws, &who, shell)?;
            (page.beside.brand.error, page.beside.brand.own) = (error, form.own);
            html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

/// Identifies the colour, so that a browser may keep the answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CssParams {
    v: String,
}

/// `GET /brand.css`: the accents; empty without a brand colour.
pub(super) async fn css(ws: Ws, Query(params): Query<CssParams>) -> Result<Response, PageError> {
    let chosen = ws.read(|snap| queries::brand(snap))?;
    let is_named = chosen.is_some_and(|Brand { colour }| brand::rev(colour) == params.v);
    let css = chosen.map_or_else(String::new, |Brand { colour }| Accents::new(colour).css());
    let kept = match is_named {
        true => "private, max-age=31536000, immutable",
        false => "private, no-cache",
    };
    let mut response = css.into_response();
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    headers::secure(fields);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::BrandForm;
    use kernel::{Colour, Hue};

    #[test]
    fn a_swatch_or_a_changed_colour_field_is_the_choice() {
        let chosen = |brand: &str, own: &str, was: &str| {
            let form = BrandForm { brand: brand.into(), own: own.into(), own_was: was.into() };
            form.colour()
        };
        assert_eq!(chosen("", "#5546c8", "#5546c8"), Ok(None));
        assert_eq!(chosen("c9", "#5546c8", "#5546c8"), Ok(Some(Hue::C9.into())));
        let green = Ok(Some(Colour::Own([0x1f, 0x7a, 0x5c])));
        assert_eq!(chosen("c9", "#1f7a5c", "#5546c8"), green);
        assert_eq!(chosen("own", "#1f7a5c", "#1f7a5c"), green);
        assert!(chosen("mauve", "", "").is_err() && chosen("own", "#12", "").is_err());
    }
}
