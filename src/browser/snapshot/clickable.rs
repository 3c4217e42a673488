//! Clickable elements without a role: those with a mouse listener and those with `cursor: pointer`. Read from one DOM
//! snapshot per process of a page.
//!
//! Elements that inherit the pointer, are not drawn, or are a label or the page itself do not count. If a page is too
//! large or does not answer in time, none are reported.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::tree::FrameTree;
use crate::page::Page;
use crate::protocol::CaptureNodes;

/// Timeout per process.
const WITHIN: Duration = Duration::from_secs(3);
/// Maximum size of all trees in bytes; larger pages are not searched.
const MAX_TREES: usize = 8 << 20;
/// Elements with built-in behaviour of labels, pages and lists.
const NOT: [&str; 6] =
    ["\"HTML\"", "\"BODY\"", "\"HEAD\"", "\"LABEL\"", "\"OPTION\"", "\"SELECT\""];
const ELEMENT: u8 = 1;

/// Why a click has an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Click {
    /// The cursor is a pointer.
    Pointer,
    /// There is a listener, perhaps for all contents of the element.
    Listener,
}

/// Elements of one process by backend node id.
pub(super) type Clickable = HashMap<i64, Click>;

/// Adds the clickable elements to each tree.
pub(super) async fn mark(page: &Page, trees: &mut [FrameTree]) {
    if MAX_TREES < trees.iter().map(|tree| tree.nodes.get().len()).sum() {
        return;
    }
    let mut sessions: Vec<Arc<str>> = Vec::new();
    for tree in trees.iter() {
        if !sessions.contains(&tree.session) {
            sessions.push(Arc::clone(&tree.session));
        }
    }
    let requests = sessions.iter().map(|session| async move {
        let order = CaptureNodes { computed_styles: ["cursor"] };
        let answer = page.running.link.call_unread(Some(session), &order, WITHIN).await;
        let found = answer.ok().and_then(|answer| read(answer.get())); // ok: then none is known
        (session, Arc::new(found.unwrap_or_default()))
    });
    for (session, found) in futures_util::future::join_all(requests).await {
        for tree in trees.iter_mut().filter(|tree| tree.session == *session) {
            tree.clickable = Arc::clone(&found);
        }
    }
}

#[derive(Deserialize)]
struct Captured<'a> {
    documents: Vec<Document>,
    #[serde(borrow)]
    strings: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Document {
    nodes: Nodes,
    layout: Layout,
}

/// Columns with a row per node.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Nodes {
    parent_index: Vec<i64>,
    node_type: Vec<u8>,
    /// Indexes into the strings.
    node_name: Vec<i64>,
    backend_node_id: Vec<i64>,
    is_clickable: Option<Rows>,
}

#[derive(Deserialize)]
struct Rows {
    index: Vec<usize>,
}

/// Columns with a row per drawn node.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layout {
    node_index: Vec<usize>,
    styles: Vec<Vec<i64>>,
    bounds: Vec<Vec<f64>>,
}

fn read(answer: &str) -> Option<Clickable> {
    let Captured { documents, strings } = serde_json::from_str(answer).ok()?; // ok: an answer of another version
    let string = |at: i64| usize::try_from(at).ok().and_then(|at| strings.get(at)); // ok: -1 is none
    let mut found = Clickable::new();
    for Document { nodes, layout } in documents {
        // For each drawn node: whether the cursor is a pointer.
        let mut drawn: HashMap<usize, bool> = HashMap::new();
        for ((at, style), place) in layout.node_index.iter().zip(&layout.styles).zip(&layout.bounds)
        {
            let has_size =
                matches!(place[..], [_, _, width, height] if 1.0 <= width && 1.0 <= height);
            let cursor = style.first().and_then(|at| string(*at));
            let points = cursor.is_some_and(|cursor| cursor.get() == "\"pointer\"");
            if has_size {
                *drawn.entry(*at).or_default() |= points;
            }
        }
        let is_element = |at: usize| nodes.node_type.get(at) == Some(&ELEMENT);
        // Skip shadow roots.
        let parent_of = |at: usize| {
            let mut at = *nodes.parent_index.get(at)?;
            loop {
                let parent = usize::try_from(at).ok()?; // ok: -1 is none
                if is_element(parent) {
                    return Some(parent);
                }
                at = *nodes.parent_index.get(parent)?;
            }
        };
        let mut add = |at: usize, click: Click| {
            let name = nodes.node_name.get(at).and_then(|name| string(*name));
            let counts = is_element(at) && name.is_some_and(|name| !NOT.contains(&name.get()));
            if let Some(number) = nodes.backend_node_id.get(at).filter(|_| counts) {
                found.insert(*number, click);
            }
        };
        let listens = nodes.is_clickable.iter().flat_map(|rows| &rows.index);
        for at in listens.filter(|at| drawn.contains_key(*at)) {
            add(*at, Click::Listener);
        }
        for at in drawn.iter().filter(|(_, points)| **points).map(|(at, _)| *at) {
            let inherits = parent_of(at).is_some_and(|parent| drawn.get(&parent) == Some(&true));
            if !inherits {
                add(at, Click::Pointer);
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_inherits_is_not_drawn_or_is_a_label_does_not_count() {
        // html > (div > span), p, label, i; div, p and label have a pointer, p and i have a listener.
        let answer = r#"{"strings":["HTML","DIV","SPAN","P","LABEL","I","pointer","auto"],"documents":[{
            "nodes":{"parentIndex":[-1,0,1,0,0,0],"nodeType":[1,1,1,1,1,1],"nodeName":[0,1,2,3,4,5],
                "backendNodeId":[10,11,12,13,14,15],"isClickable":{"index":[3,5]}},
            "layout":{"nodeIndex":[0,1,2,3,4],"styles":[[7],[6],[6],[7],[6]],
                "bounds":[[0,0,9,9],[0,0,9,9],[0,0,9,9],[0,0,9,9],[0,0,9,9]]}}]}"#;
        let found = read(answer).unwrap();
        assert_eq!(found, Clickable::from([(11, Click::Pointer), (13, Click::Listener)]));
        assert!(read("{}").is_none());
    }
}
