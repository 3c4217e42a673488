//! Blobs on the primary that a run on a host needs: pictures and attachments of its conversation, and long results of
//! earlier calls. They are fetched before they are read, and stored as local blobs. Does nothing on the primary.

use app::Ws;
use app::upstream::{Aside, Missing, Part, Refusal, Upstream};
use features::runs::model::EventKind;
use serde::Deserialize as _;
use store::BlobId;

use super::journal::blocking;

/// The largest blob that is fetched, in bytes.
const MOST: u64 = 256 * 1024 * 1024;

/// Fetches missing blobs. Readers handle one that could not be fetched.
pub(super) async fn bring(ws: &Ws, files: Vec<BlobId>) {
    // Nothing can be fetched while the link is down.
    let Some(up) = ws.upstream.as_ref().filter(|up| up.is_linked()) else { return };
    for file in files {
        let own = ws.clone();
        if let Ok(false) = blocking(move || own.blobs.has(file)).await
            && let Err(why) = one((ws, &**up), file).await
        {
            tracing::warn!("the file {file} does not come from home: {}", why.sentence);
        }
    }
}

/// The blobs that events of a conversation show.
pub(super) fn shown<'e>(events: impl IntoIterator<Item = &'e EventKind>) -> Vec<BlobId> {
    let mut all = Vec::new();
    for event in events {
        match event {
            EventKind::Picture { id, .. } => all.push(*id),
            EventKind::Attached { files, .. } => all.extend(files.iter().map(|file| file.blob)),
            _ => {}
        }
    }
    all
}

async fn one((ws, up): (&Ws, &dyn Upstream), file: BlobId) -> Result<(), Refusal> {
    let broken = |why: &str| Refusal::new("broken_file", why);
    let mut whole = Vec::new();
    loop {
        let missing = Missing { file, offset: whole.len() as u64 };
        let answer = up.asks(Aside::File(missing).to_json()).await?;
        let part = Part::deserialize(answer).map_err(|_| broken("it is unreadable"))?;
        if MOST < part.total {
            return Err(broken("it is too large"));
        }
        whole.extend_from_slice(&part.data);
        if part.total <= whole.len() as u64 {
            break;
        }
        if part.data.is_empty() {
            return Err(broken("a piece is missing"));
        }
    }
    let own = ws.clone();
    let put = blocking(move || match BlobId::of(&whole) == file {
        true => own.blobs.put(&whole).map(|_| true),
        false => Ok(false),
    });
    match put.await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(broken("it is a different one")),
        Ok(Err(error)) => Err(broken(&error.to_string())),
        Err(error) => Err(broken(&error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::shown;
    use features::runs::model::EventKind;
    use store::BlobId;

    #[test]
    fn pictures_are_among_what_a_conversation_shows_and_words_are_not() {
        let id = BlobId::of(b"a picture");
        let (call_id, media_type) = ("call_1".to_owned(), "image/png".to_owned());
        let picture = EventKind::Picture { call_id, media_type, id, len: 9 };
        let words = EventKind::Notice { text: "words".to_owned() };
        assert_eq!(shown([&words, &picture]), [id]);
    }
}
