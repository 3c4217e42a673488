//! The agents' machines and their state.

use askama::Template;

use features::dashboard::queries::DashboardContext;
use features::dashboard::queries::hosts::{self, Host};
use kernel::Can;
use store::{Read, StoreError};
use web::live::Live;

#[derive(Template)]
#[template(path = "dashboard/_hosts.html")]
pub(super) struct Hosts {
    live: Live,
    /// Address of the region.
    here: String,
    rows: Vec<Host>,
    /// Address of the list of machines, for those who manage them.
    all: String,
}

pub(super) fn read(read: &dyn Read, scene: &DashboardContext<'_>) -> Result<Hosts, StoreError> {
    let may = scene.who.access.may(Can::Admin);
    let mut rows = hosts::of(read, scene.ws, scene.now)?;
    if !may {
        rows.iter_mut().for_each(|row| row.href.clear());
    }
    Ok(Hosts {
        live: Live::new(scene.ws.url("")).table("gateways").later(),
        here: scene.ws.url(""),
        rows,
        all: if may { scene.ws.url("settings/gateways") } else { String::new() },
    })
}
