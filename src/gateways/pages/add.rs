//! Adding a machine: form, join command (shown once), and progress of joining.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use crypto::token::{Token, TokenKind};
use features::tasks::queries::view_context::ViewContext;
use store::WriteTx;
use web::error::PageError;
use web::extract::Path;
use web::form::Wrong;
use web::hx::Hx;
use web::idempotency::FormOnce;
use web::session::Person;
use web::shell::{Flash, Shell};
use web::{flash, html};

use super::view::{Waits, waits};
use super::{HERE, MENU, sheet};
use crate::error::GatewayError;
use crate::identity::{fingerprint, identity};
use crate::model::GatewayTokenId;
use crate::place::Place;
use crate::queries;
use crate::rules::{self, NewToken, labels_of};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct InviteForm {
    label: String,
    labels: String,
    minutes: String,
}

#[derive(Template)]
#[template(path = "gateways/new.html")]
struct NewPage {
    shell: Shell,
    here: &'static str,
    base: String,
    nowhere: String,
    typed: InviteForm,
    wrong: Wrong,
}

/// Page of a token and its progress.
#[derive(Template)]
#[template(path = "gateways/made.html")]
struct MadePage {
    shell: Shell,
    here: &'static str,
    sheet: &'static str,
    base: String,
    one: Waits,
    /// The token; empty if an earlier request already created and showed it.
    token: String,
    fingerprint: String,
    linux: Option<String>,
    docker: Option<String>,
    by_hand: String,
}

#[derive(Template)]
#[template(path = "gateways/_waits.html")]
struct Steps {
    one: Waits,
}

/// `GET /settings/gateways/new`
pub(super) async fn new(app: App, ws: Ws, shell: Shell) -> Result<Response, PageError> {
    let values = InviteForm {
        label: "Gateway".to_owned(),
        minutes: "15".to_owned(),
        ..InviteForm::default()
    };
    html::page(&form(&app, &ws, shell, (values, Wrong::none())))
}

fn form(app: &App, ws: &Ws, shell: Shell, (form, wrong): (InviteForm, Wrong)) -> NewPage {
    let nowhere = Place::of(&app.config).why_not().to_owned();
    NewPage { shell, here: MENU, base: ws.url(HERE), nowhere, typed: form, wrong }
}

/// `POST /settings/gateways`: makes a token and shows it once.
pub(super) async fn create(
    app: App,
    ws: Ws,
    who: Person,
    shell: Shell,
    FormOnce(values, once): FormOnce<InviteForm>,
) -> Result<Response, PageError> {
    let place = Place::of(&app.config);
    if place.address().is_none() {
        let page = form(&app, &ws, shell, (values, Wrong::none()));
        return html::document(StatusCode::CONFLICT, &page);
    }
    let token = Token::issue(TokenKind::Gateway);
    let new = NewToken {
        public: token.id().to_owned(),
        hash: token.hash(),
        label: values.label.clone(),
        labels: labels_of(&values.labels),
        // ok: text that is no number becomes 0, which is rejected.
        minutes: Some(values.minutes.trim().parse().unwrap_or(0)),
    };
    let make =
        once.run(move |tx: &mut WriteTx<'_>| rules::mint(tx, new).map(|one| (one.id, one.public)));
    let made = ws.write(&who, make).await;
    match made {
        Ok((id, public)) => {
            let key = fingerprint(identity(&ws).await?.public().as_bytes());
            let is_first = public == token.id();
            let text = if is_first { token.reveal() } else { "" };
            let command = |more| place.command(text, &key, more).filter(|_| is_first);
            let (base, one) = (ws.url(HERE), read_waits(&ws, who, id).await?);
            html::page(&MadePage {
                shell,
                here: MENU,
                sheet: sheet(),
                base,
                one,
                linux: command(""),
                docker: command(" --container"),
                by_hand: place.by_hand(&key),
                token: text.to_owned(),
                fingerprint: key,
            })
        }
        Err(error) => {
            let wrong = Wrong::of(&error)?;
            let page = form(&app, &ws, shell, (values, wrong));
            html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

async fn read_waits(ws: &Ws, who: Person, id: GatewayTokenId) -> Result<Waits, GatewayError> {
    ws.read_blocking(move |ws| {
        ws.read(|snap| {
            let scene = ViewContext::new(ws, &who, snap)?;
            waits(&scene, snap, &queries::token_by_id(snap, id)?)
        })
    })
    .await
}

/// `GET /settings/gateways/tokens/{id}`: how far the machine is.
pub(super) async fn steps(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<GatewayTokenId>,
) -> Result<Response, PageError> {
    if !hx.is_partial() {
        return Ok(hx.go_to(&ws.url(HERE)));
    }
    html::fragment(&Steps { one: read_waits(&ws, who, id).await? })
}

/// `POST /settings/gateways/tokens/{id}/revoke`
pub(super) async fn revoke(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<GatewayTokenId>,
) -> Result<Response, PageError> {
    let gone = ws.write(&who, move |tx| rules::revoke_token(tx, id)).await?;
    let words = format!("Revoked the command for {}.", gone.label);
    Ok(flash::say(&app, Flash::ok(words), hx.go_to(&ws.url(HERE))))
}
