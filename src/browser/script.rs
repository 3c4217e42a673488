//! Scripts of agents in pages: in a world of their own, where they see the page's parts and neither its variables nor
//! what the driver keeps there.
//!
//! A script may stay behind and listen. So none runs where a credential was typed, and none is typed while one may
//! listen: a document in which a script has run has to go first.

use std::sync::Arc;
use std::time::Duration;

use crate::BrowserError;
use crate::page::{MAX_VALUE, Page, gone, value_of};
use crate::protocol::{CallOn, EvaluateIn, IsolatedWorld, ReleaseObject, Resolve, Terminate};
use crate::transport::USUAL;

/// The name of that world.
const WORLD: &str = "agent";
/// The longest script, in bytes.
pub const MAX_SCRIPT: usize = 20_000;

impl Page {
    /// Runs a script of somebody else than the driver, and answers its value as JSON. With a part it is one expression,
    /// in the frame of the part, which is `this`.
    ///
    /// # Errors
    /// When it is too long, throws, takes too long or answers too much, or when a credential was typed into this page.
    pub async fn run_script(
        &self,
        part: Option<u32>,
        script: &str,
        within: Duration,
    ) -> Result<String, BrowserError> {
        if MAX_SCRIPT < script.len() {
            return Err(BrowserError::Script(format!("it is longer than {MAX_SCRIPT} bytes")));
        }
        let node = match part {
            Some(number) => Some(self.node(number).await?),
            None => None,
        };
        let frame = node.as_ref().map_or(&*self.target, |node| node.frame.as_str());
        let session = self.with_tab(|tab| {
            if tab.knows_secret() {
                return Err(BrowserError::KnowsSecret);
            }
            let frame = tab.frames.get(frame).ok_or_else(gone)?;
            tab.is_scripted = true;
            Ok(Arc::clone(&frame.session))
        })??;
        let link = &self.running.link;
        let isolated = IsolatedWorld { frame_id: frame, world_name: WORLD };
        let made = link.call(Some(&session), &isolated, USUAL).await?;
        let context_id = made.execution_context_id;
        let answer = match &node {
            None => {
                let evaluate = EvaluateIn {
                    expression: script,
                    context_id,
                    await_promise: true,
                    return_by_value: true,
                };
                link.call(Some(&session), &evaluate, within).await
            }
            Some(node) => {
                let resolve =
                    Resolve { backend_node_id: node.backend, execution_context_id: context_id };
                let object = link.call(Some(&session), &resolve, USUAL).await?.object;
                let object_id = object.object_id.unwrap_or_default();
                let function = format!("async function () {{ return (\n{script}\n) }}");
                let call = CallOn {
                    function_declaration: &function,
                    object_id: &object_id,
                    arguments: Vec::new(),
                    await_promise: true,
                    return_by_value: true,
                };
                let answer = link.call(Some(&session), &call, within).await;
                link.tell(Some(&session), &ReleaseObject { object_id: &object_id });
                answer
            }
        };
        if matches!(answer, Err(BrowserError::TimedOut { .. })) {
            // It may run without an end.
            link.tell(Some(&session), &Terminate {});
        }
        let text = value_of(answer?)?.to_string();
        match text.len() {
            len if MAX_VALUE < len => Err(BrowserError::Script(format!(
                "its value has {len} bytes, {MAX_VALUE} are allowed: answer less"
            ))),
            _ => Ok(text),
        }
    }

    /// Refuses what must stay unseen while a script may look on, in this tab or in another that reaches it.
    pub(crate) fn no_script_looks_on(&self) -> Result<(), BrowserError> {
        let known = self.running.tabs.lock();
        match known.tabs.iter().find(|tab| tab.is_scripted) {
            Some(tab) => Err(BrowserError::Scripted(tab.number)),
            None => Ok(()),
        }
    }
}
