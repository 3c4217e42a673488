//! List of gateways and of joining machines.

use askama::Template;
use axum::response::Response;
use jiff::SignedDuration;

use app::Ws;
use features::tasks::queries::view_context::ViewContext;
use kernel::GatewayId;
use store::Read;
use web::error::PageError;
use web::html;
use web::hx::Hx;
use web::session::Person;
use web::shell::Shell;

use super::view::{Block, Waits, block, waits};
use super::{HERE, MENU, sheet};
use crate::error::GatewayError;
use crate::model::GatewayToken;
use crate::place::Place;
use crate::queries;

/// A machine stays in the list of joining machines this long after it is ready.
const SHOWN: SignedDuration = SignedDuration::from_mins(10);

#[derive(Template)]
#[template(path = "gateways/list.html")]
struct ListPage {
    shell: Shell,
    here: &'static str,
    sheet: &'static str,
    base: String,
    /// Why no machine can join, and the remedy; empty if machines can.
    nowhere: String,
    joining: Vec<Waits>,
    blocks: Vec<Block>,
}

web::region!(ListPage, as_rows, ListRows, "gateways/list-rows.html");

/// `GET /settings/gateways`
pub(super) async fn list(ws: Ws, who: Person, hx: Hx, shell: Shell) -> Result<Response, PageError> {
    let page = ws
        .read_blocking(move |ws| {
            ws.read(|snap| {
                let scene = ViewContext::new(ws, &who, snap)?;
                page(&scene, snap, shell)
            })
        })
        .await?;
    match hx.is_partial() {
        true => html::fragment(&page.as_rows()),
        false => html::page(&page),
    }
}

fn page(scene: &ViewContext, read: &dyn Read, shell: Shell) -> Result<ListPage, GatewayError> {
    let now = scene.today.now;
    let all = queries::gateways(read)?;
    let is_there = |id: GatewayId| all.iter().any(|one| one.id == id);
    let is_shown = |one: &GatewayToken| {
        (one.is_open(now) || one.used_at.is_some_and(|at| now < at + SHOWN))
            && one.gateway.is_none_or(is_there)
    };
    let joining = queries::tokens(read)?;
    let joining = joining.iter().filter(|one| is_shown(one)).map(|one| waits(scene, read, one));
    Ok(ListPage {
        shell,
        here: MENU,
        sheet: sheet(),
        base: scene.ws.url(HERE),
        nowhere: Place::of(&scene.ws.app.config).why_not().to_owned(),
        joining: joining.collect::<Result<_, GatewayError>>()?,
        blocks: all.iter().map(|one| block(scene, read, one)).collect::<Result<_, _>>()?,
    })
}
