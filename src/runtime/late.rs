//! Writes results of tools, including late ones: while their tool was hanging, the run was stopped or requeued.

use features::runs::model::{CallStatus, EventKind};

use super::command::journal::Results;
use super::command::orders::LateKept;
use super::journal::{Journal, handed};
use super::port::Port;
use super::{BY, EngineError};

impl Journal {
    /// Writes results of calls, and adds discovered tools to the session. If the run was taken over meanwhile, the
    /// results are stored in its log as evidence, which no model reads.
    pub(super) async fn results(
        &mut self,
        events: Vec<EventKind>,
        load: Vec<String>,
    ) -> Result<(), EngineError> {
        let effective = self.effective;
        let results = handed(Results { events, load, effective });
        let written = self.apply_handed(None, &results, None).await;
        let left = results.lock().take();
        if written.as_ref().is_err_and(EngineError::is_fenced)
            && let Some(left) = left
        {
            let late: Vec<EventKind> = left.events.into_iter().filter_map(as_late).collect();
            if !late.is_empty() {
                self.keep_late(late).await;
            }
        }
        written
    }

    async fn keep_late(&mut self, late: Vec<EventKind>) {
        for kind in &late {
            if let EventKind::Late { paths, .. } = kind {
                // These files are committed like all others that the run has changed.
                self.paths.extend(paths.iter().cloned());
            }
        }
        let run = self.run;
        let kept = self.ws.order(BY, LateKept { run, late }).await;
        if let Err(error) = kept {
            tracing::error!(run.id = %run, %error, "what a tool of run {run} said too late is lost");
        }
    }
}

/// A late result as evidence; `None` for a call that was not made or was cut off.
fn as_late(event: EventKind) -> Option<EventKind> {
    match event {
        EventKind::ToolFinished {
            step,
            call_id,
            name,
            status: status @ (CallStatus::Ok | CallStatus::Error),
            result,
            millis,
            paths,
            ..
        } => Some(EventKind::Late { step, call_id, name, status, result, millis, paths }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::as_late;
    use features::runs::model::{Body, CallStatus, EventKind};

    fn finished(status: CallStatus) -> EventKind {
        EventKind::ToolFinished {
            step: 1,
            call_id: "call_1".into(),
            name: "write".into(),
            status,
            result: Body::Inline("done".into()),
            millis: 2,
            paths: vec!["notes.md".into()],
            seq: None,
        }
    }

    #[test]
    fn only_what_a_tool_said_is_evidence() {
        for status in [CallStatus::Ok, CallStatus::Error] {
            assert!(matches!(as_late(finished(status)), Some(EventKind::Late { .. })));
        }
        for status in [CallStatus::Stopped, CallStatus::Timeout, CallStatus::Skipped] {
            assert_eq!(as_late(finished(status)), None);
        }
        assert_eq!(as_late(EventKind::Notice { text: "Hello.".into() }), None);
    }
}
