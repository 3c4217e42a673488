//! Fields for credentials: finds the focused one in any frame, and hides values.
//!
//! No snapshot shows the value of a hidden field, even if its page shows the characters.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future;
use serde_json::Value;
use tokio::time::timeout;

use crate::BrowserError;
use crate::page::Page;
use crate::protocol::{Describe, EvaluateIn};
use crate::refs::Node;
use crate::transport::USUAL;

/// The focused element of this frame itself, through open shadow roots.
const FOCUSED: &str = "(() => {
    if (!document.hasFocus()) return null;
    let at = document.activeElement;
    while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
    return at && at !== document.body && !['IFRAME', 'FRAME'].includes(at.tagName) ? at : null;
})()";
const LOOK: &str = include_str!("act/field.js");
/// How long a frame may take to report its focus.
const WITHIN: Duration = Duration::from_secs(3);

/// Purpose of a field according to its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    Password,
    /// A one-time code.
    Code,
    /// A name for signing in.
    Name,
    Other,
}

/// The current state of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its ref.
    pub number: u32,
    pub kind: FieldKind,
    pub is_empty: bool,
    /// Address of its frame.
    pub frame_url: String,
}

impl Page {
    pub async fn focused_field(&self) -> Result<Option<Field>, BrowserError> {
        let Some(node) = self.focused().await? else { return Ok(None) };
        let number = self.with_tab(|tab| tab.refs.number(&node))?;
        self.field(number).await
    }

    /// A field by its ref; `None` if it is no longer in the page or no field.
    pub async fn field(&self, number: u32) -> Result<Option<Field>, BrowserError> {
        let node = self.with_tab(|tab| {
            let node = tab.refs.node(number)?.clone();
            let frame = tab.frames.get(&node.frame)?;
            (frame.loader == node.loader).then(|| (node, frame.shown_url()))
        })?;
        let Some((node, frame_url)) = node else { return Ok(None) };
        let answer = match self.call_on(&node, LOOK, Vec::new()).await {
            Err(BrowserError::Refused { .. }) => return Ok(None),
            answer => answer?,
        };
        let kind = match answer["kind"].as_str() {
            None => return Ok(None),
            Some("password") => FieldKind::Password,
            Some("code") => FieldKind::Code,
            Some("name") => FieldKind::Name,
            Some(_) => FieldKind::Other,
        };
        let is_empty = answer["empty"] == Value::Bool(true);
        Ok(Some(Field { number, kind, is_empty, frame_url }))
    }

    /// Hides the value of this field in all snapshots while its document exists.
    pub fn hide_value(&self, number: u32) -> Result<(), BrowserError> {
        self.with_tab(|tab| {
            tab.hidden.insert(number);
        })
    }

    /// The focused node in any frame; `None` for the page itself.
    pub(crate) async fn focused(&self) -> Result<Option<Node>, BrowserError> {
        let frames = self.with_tab(|tab| tab.frames.keys().cloned().collect::<Vec<_>>())?;
        let found = frames.iter().map(|frame| timeout(WITHIN, self.found_in(frame, FOCUSED)));
        let found = future::join_all(found).await;
        let hangs = found.iter().any(Result::is_err);
        // A frame that is gone has no focus; one that does not answer may have it.
        let focused = found.into_iter().filter_map(|found| found.ok()?.ok()).flatten().next();
        match focused {
            None if hangs => Err(self.hangs()),
            focused => Ok(focused),
        }
    }

    /// The element that a script of the driver finds in a frame.
    pub(crate) async fn found_in(
        &self,
        frame: &str,
        script: &str,
    ) -> Result<Option<Node>, BrowserError> {
        let place = self.with_tab(|tab| {
            let frame = tab.frames.get(frame)?;
            Some((Arc::clone(&frame.session), frame.loader.clone()))
        })?;
        let Some((session, loader)) = place else { return Ok(None) };
        let context_id = self.world(frame).await?;
        let find = EvaluateIn {
            expression: script,
            context_id,
            await_promise: false,
            return_by_value: false,
        };
        let link = &self.running.link;
        let object = link.call(Some(&session), &find, USUAL).await?.result.object_id;
        let Some(object_id) = object else { return Ok(None) };
        let describe = Describe { object_id: &object_id };
        let backend = link.call(Some(&session), &describe, USUAL).await?.node.backend_node_id;
        Ok(Some(Node { session, frame: frame.to_owned(), loader, backend }))
    }
}
