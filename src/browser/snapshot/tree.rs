//! Fetches the accessibility trees of all frames concurrently.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future;
use serde_json::value::RawValue;

use super::clickable::{self, Clickable};
use crate::BrowserError;
use crate::page::Page;
use crate::protocol::{AxTree, FrameOwner};
use crate::transport::USUAL;

/// Timeout for an embedded frame.
const FRAME_WITHIN: Duration = Duration::from_secs(3);
/// Maximum number of frames.
const MAX_FRAMES: usize = 50;

/// The tree of a frame.
pub(super) struct FrameTree {
    pub frame: String,
    pub session: Arc<str>,
    pub loader: String,
    pub nodes: Box<RawValue>,
    /// The node that contains the frame: session and backend node id.
    pub owner: Option<(Arc<str>, i64)>,
    /// Clickable elements of its process.
    pub clickable: Arc<Clickable>,
}

struct Place {
    frame: String,
    session: Arc<str>,
    loader: String,
    parent: Option<Arc<str>>,
}

/// The trees of a page's frames, the main frame first.
pub(super) async fn fetch(page: &Page) -> Result<Vec<FrameTree>, BrowserError> {
    let places = page.with_tab(|tab| {
        if tab.has_crashed {
            return Err(BrowserError::Crashed);
        }
        let mut places: Vec<Place> = tab
            .frames
            .iter()
            .map(|(id, frame)| Place {
                frame: id.clone(),
                session: Arc::clone(&frame.session),
                loader: frame.loader.clone(),
                parent: frame.parent.as_ref().map(|parent| {
                    let parent = tab.frames.get(parent).map(|frame| &frame.session);
                    Arc::clone(parent.unwrap_or(&tab.session))
                }),
            })
            .collect();
        places.sort_by_key(|place| place.frame != tab.target);
        Ok(places)
    })??;
    let requests = places.into_iter().take(MAX_FRAMES).map(|place| ask(page, place));
    let mut trees = Vec::new();
    for tree in future::join_all(requests).await {
        match tree {
            Ok(tree) => trees.push(tree),
            // A frame that is gone or crashed shows nothing.
            Err(error) if !trees.is_empty() => tracing::debug!("a frame tells nothing: {error}"),
            Err(error) => return Err(error),
        }
    }
    clickable::mark(page, &mut trees).await;
    Ok(trees)
}

async fn ask(page: &Page, place: Place) -> Result<FrameTree, BrowserError> {
    let link = &page.running.link;
    let Place { frame, session, loader, parent } = place;
    let tree = AxTree { frame_id: &frame };
    // The process of a frame may be stuck while the page is not.
    let within = if parent.is_none() { USUAL } else { FRAME_WITHIN };
    let nodes = link.call_unread(Some(&session), &tree, within);
    let (nodes, owner) = match parent {
        None => (nodes.await?, None),
        Some(parent) => {
            let owner = FrameOwner { frame_id: &frame };
            let owner = link.call(Some(&parent), &owner, USUAL);
            let (nodes, owner) = future::try_join(nodes, owner).await?;
            (nodes, Some((parent, owner.backend_node_id)))
        }
    };
    Ok(FrameTree { frame, session, loader, nodes, owner, clickable: Arc::default() })
}
