//! Read-only workspace tools called on a host: they run on the primary. While the link is down, tools that need only
//! replicated rows use the mirror and state its age.

use std::time::Duration;

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use serde_json::Value;

use app::upstream::{Alone, Refusal, Upstream};
use features::inbox::queries::why::clock;
use features::tasks::queries::due;
use features::workspace::model::Settings;
use kernel::{RunId, Timestamp};
use store::ReadExt as _;
use tool::{ToolCx, ToolError, ToolOutput};
use web::format;

use super::{AGAIN, Found, Look, RemoteRequest, read, value};

/// Where a tool ran.
enum Looked {
    /// On the primary.
    Home(Value),
    /// On this host's mirror, with the time since the link was cut.
    Copy(Box<ToolOutput>, Duration),
}

/// Runs a read-only tool on the primary; `copy` runs it on the mirror, if the tool may.
pub(crate) async fn run_read(
    up: &dyn Upstream,
    cx: &ToolCx,
    (name, arguments): (&str, &str),
    copy: Option<impl Future<Output = Result<ToolOutput, ToolError>>>,
) -> Result<ToolOutput, ToolError> {
    let (name, arguments) = (name.to_owned(), arguments.to_owned());
    let look = Look { run: cx.run, name, arguments, step: cx.step, most: cx.max_result };
    let words = up.words(value(&RemoteRequest::Look(look)).map_err(not_at_home)?);
    let looked = match copy {
        Some(copy) => home_or_copy(up, cx.run, words, copy).await,
        None => up.says(cx.run, words).await.map(Looked::Home),
    };
    match looked.map_err(not_at_home)? {
        Looked::Home(answer) => {
            let Found { text, is_error, load, whole } = read(answer).map_err(not_at_home)?;
            Ok(ToolOutput { is_error, load, whole, ..ToolOutput::text(text) })
        }
        Looked::Copy(output, cut_for) => {
            let settings = cx.ws.read(|snap| snap.get::<Settings>(()))?;
            let zone = settings.map_or(TimeZone::UTC, |settings| due::zone(&settings.zone));
            Ok(headed(*output, &head(cx.ws.app.clock.now(), cut_for, &zone)))
        }
    }
}

fn not_at_home(refusal: Refusal) -> ToolError {
    ToolError::Failed { code: "not_at_home", message: refusal.sentence }
}

/// Runs the tool on the primary or, once the link has been down longer than a run waits for it, here. What the mirror
/// cannot answer waits for the primary.
async fn home_or_copy(
    up: &dyn Upstream,
    run: RunId,
    words: Value,
    copy: impl Future<Output = Result<ToolOutput, ToolError>>,
) -> Result<Looked, Refusal> {
    let Alone { cut_for, gate } = loop {
        if let Some(answer) = up.tries(run, words.clone()).await {
            return answer.map(Looked::Home);
        }
        match up.alone(run).await {
            Some(alone) => break alone,
            // The mirror does not have everything that the primary has received.
            None if !up.is_linked() => tokio::time::sleep(AGAIN).await,
            None => {}
        }
    };
    // The gate keeps the mirror unchanged while the tool reads.
    let output = copy.await;
    drop(gate);
    match output {
        Ok(output) if !output.is_error => Ok(Looked::Copy(Box::new(output), cut_for)),
        // The primary may have rows that are not in the mirror.
        _ => up.says(run, words).await.map(Looked::Home),
    }
}

/// The age of the mirror, in a text for the model.
fn head(now: Timestamp, cut_for: Duration, zone: &TimeZone) -> String {
    let age = SignedDuration::try_from(cut_for).ok();
    let at = age.and_then(|age| now.checked_sub(age).ok()).unwrap_or(now);
    format!(
        "From this machine's copy of {}, {} old, because the connection to HQ is lost. The copy \
         only has what this machine's agents need.",
        clock(at, now, zone),
        format::duration(Duration::from_secs(cut_for.as_secs()))
    )
}

/// Puts a line above the result.
fn headed(output: ToolOutput, head: &str) -> ToolOutput {
    let below = |text: String| format!("{head}\n{text}");
    ToolOutput { text: below(output.text), whole: output.whole.map(below), ..output }
}

#[cfg(test)]
mod tests {
    use kernel::TypedId as _;
    use kernel::time::from_ms;
    use serde_json::json;

    use super::*;
    use crate::remote::scripted::Scripted;

    const CUT_FOR: Duration = Duration::from_secs(10_805);

    fn run() -> RunId {
        RunId::from_bytes([8; 16])
    }

    #[tokio::test]
    async fn home_is_asked_while_there_is_a_line() {
        let line = Scripted::linked();
        line.answers(json!("from home"));
        let nothing = std::future::pending();
        let looked = home_or_copy(&line, run(), json!("look"), nothing).await.unwrap();
        assert!(matches!(looked, Looked::Home(answer) if answer == "from home"));
        assert_eq!(line.requests(), [json!("look")]);
    }

    #[tokio::test]
    async fn a_copy_answers_while_the_line_is_cut() {
        let line = Scripted::cut(CUT_FOR);
        let copy = async { Ok(ToolOutput::text("from here")) };
        let looked = home_or_copy(&line, run(), json!("look"), copy).await.unwrap();
        let Looked::Copy(output, cut_for) = looked else { panic!("home said nothing") };
        assert_eq!((output.text.as_str(), cut_for), ("from here", CUT_FOR));
        assert!(line.requests().is_empty());
        assert!(line.is_free(), "the next link is not held back");
    }

    #[tokio::test]
    async fn what_a_copy_cannot_tell_waits_for_home() {
        for refused in
            [Ok(ToolOutput::error("no such task")), Err(ToolError::refused("not_found", "none"))]
        {
            let line = Scripted::cut(CUT_FOR);
            let mut looked = Box::pin(home_or_copy(&line, run(), json!("look"), async { refused }));
            let early = tokio::time::timeout(Duration::from_millis(30), &mut looked).await;
            assert!(early.is_err(), "home alone can say it");
            assert!(line.is_free(), "the next link is not held back");
            line.answers(json!("from home"));
            assert!(matches!(looked.await, Ok(Looked::Home(answer)) if answer == "from home"));
        }
    }

    #[test]
    fn an_answer_of_a_copy_says_its_age_in_the_first_line() {
        let now = from_ms(1_700_000_000_000);
        let head = head(now, CUT_FOR, &TimeZone::UTC);
        let begins = "From this machine's copy of 19:13, 3 h old, because the connection to HQ is \
            lost.";
        assert!(head.starts_with(begins), "{head}");
        let output = ToolOutput { whole: Some("all".to_owned()), ..ToolOutput::text("a part") };
        let headed = headed(output, &head);
        assert_eq!(headed.text, format!("{head}\na part"));
        assert_eq!(headed.whole, Some(format!("{head}\nall")));
    }
}
