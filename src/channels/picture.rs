//! The picture of a channel's bot, for the settings page.

use app::Ws;
use axum::http::HeaderMap;
use axum::response::Response;
use kernel::{Can, ChannelId, ProblemKind};
use store::ReadExt as _;
use web::error::{Failure, PageError};
use web::extract::Path;
use web::file::{self, Show};
use web::routes::{Needs as _, Routes};

use crate::model::Channel;

/// Routes relative to the workspace.
pub fn routes() -> Routes {
    Routes::new().get("/settings/channels/{id}/picture", show.needs(Can::Read))
}

/// Path of a channel's picture, relative to the workspace. A new picture has a new path.
pub(crate) fn path(channel: &Channel) -> String {
    match channel.picture {
        Some(blob) => {
            let version: String = blob.to_string().chars().take(8).collect();
            format!("settings/channels/{}/picture?v={version}", channel.id)
        }
        None => String::new(),
    }
}

async fn show(
    ws: Ws,
    Path(id): Path<ChannelId>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let channel = ws.read(|snap| snap.get::<Channel>(id))?;
    let Some(blob) = channel.and_then(|channel| channel.picture) else {
        let text = "this bot has no picture";
        return Err(PageError(Failure::new(ProblemKind::NotFound, "no_picture", text)));
    };
    file::serve(&ws, ("picture", blob), Show::InPlace, &headers).await
}
