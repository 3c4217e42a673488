//! Blobs of the primary for a host's agents: images and attachments of their conversations, long results. A host may
//! read a blob if it may read a row that refers to the blob.

use std::io::{Read as _, Seek as _, SeekFrom};

use app::Ws;
use app::upstream::{Missing, Part, Refusal};
use gateways::queries;
use kernel::GatewayId;
use mirror::may_have_file;
use serde_json::Value;
use store::StoreError;

use super::serve::Host;

/// Bytes per chunk.
const PIECE: u64 = 96 * 1024;

/// Responds with a chunk of a blob.
pub(super) async fn piece(host: &Host, missing: Missing) -> Result<Value, Refusal> {
    let id = host.id;
    let read = host.ws.read_blocking(move |ws| part(ws, id, &missing)).await;
    let failed = |error: StoreError| Refusal::new("storage_failed", error.to_string());
    let Some(part) = read.map_err(failed)? else {
        tracing::warn!(gateway.id = %id, "a host is refused a file that its agents do not need");
        return Err(Refusal::new("not_yours", "no agent on this machine has this file"));
    };
    serde_json::to_value(part).map_err(|_| Refusal::new("internal", "this cannot be said"))
}

/// Reads a chunk; `None` if the host may not read the blob.
fn part(ws: &Ws, id: GatewayId, missing: &Missing) -> Result<Option<Part>, StoreError> {
    let may = ws.read(|snap| {
        let agents = queries::bound(snap, id)?;
        may_have_file((snap, ws.store.schema()), agents, missing.file)
    })?;
    if !may {
        return Ok(None);
    }
    let failed = |error: std::io::Error| StoreError::of_file(&error);
    let mut file = ws.blobs.open_blob(missing.file).map_err(failed)?;
    let total = file.metadata().map_err(failed)?.len();
    file.seek(SeekFrom::Start(missing.offset.min(total))).map_err(failed)?;
    let mut data = Vec::new();
    file.take(PIECE).read_to_end(&mut data).map_err(failed)?;
    Ok(Some(Part { total, data }))
}
