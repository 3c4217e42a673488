//! Scripts of agents in pages: in an isolated world that sees the DOM, but neither the page's variables nor the
//! driver's.
//!
//! A script may leave a listener behind. So no script runs in a document where a credential was typed, and none is
//! typed while a script may listen: a document in which a script has run must be left first.

use std::sync::Arc;
use std::time::Duration;

use crate::BrowserError;
use crate::page::{MAX_VALUE, Page, gone, value_of};
use crate::protocol::{CallOn, EvaluateIn, IsolatedWorld, ReleaseObject, Resolve, Terminate};
use crate::transport::USUAL;

/// Name of the isolated world.
const WORLD: &str = "agent";
/// Maximum size of a script in bytes.
pub const MAX_SCRIPT: usize = 20_000;

impl Page {
    /// Runs a script of an agent and returns its value as JSON. With a part the script must be one expression; it runs
    /// in the frame of the part, which is `this`.
    ///
    /// # Errors
    /// When the script is too long, throws, takes too long or returns too much, or when a credential was typed into
    /// this page.
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
            // The script may never end.
            link.tell(Some(&session), &Terminate {});
        }
        let text = value_of(answer?)?.to_string();
        match text.len() {
            len if MAX_VALUE < len => Err(BrowserError::Script(format!(
                "its value has {len} bytes, and the limit is {MAX_VALUE}: return less"
            ))),
            _ => Ok(text),
        }
    }

    /// Refuses to continue while a script may observe this tab or another one that can reach it.
    pub(crate) fn no_script_looks_on(&self) -> Result<(), BrowserError> {
        let known = self.running.tabs.lock();
        match known.tabs.iter().find(|tab| tab.is_scripted) {
            Some(tab) => Err(BrowserError::Scripted(tab.number)),
            None => Ok(()),
        }
    }
}
