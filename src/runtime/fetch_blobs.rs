//! Files that lie at home, for a run on a host: pictures and attachments of its conversation, long results of earlier
//! calls. They are asked for before they are read, and are blobs here from then on. At home nothing is done.

use app::Ws;
use app::upstream::{Aside, Missing, Part, Refusal, Upstream};
use features::runs::model::EventKind;
use serde::Deserialize as _;
use store::BlobId;

use super::journal::blocking;

/// The largest file that comes, in bytes.
const MOST: u64 = 256 * 1024 * 1024;

/// Brings files as far as they are not here. Whoever reads one that has not come says so in its place.
pub(super) async fn bring(ws: &Ws, files: Vec<BlobId>) {
    // While the line is cut nothing comes.
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

/// The files that events of a conversation show.
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
        let answer = up.asks(Aside::File(missing).said()).await?;
        let part = Part::deserialize(answer).map_err(|_| broken("it cannot be understood"))?;
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
        Ok(Ok(false)) => Err(broken("it is another one")),
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
