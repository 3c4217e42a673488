//! Output of commands, as Markdown.

use std::fmt::Write as _;
use std::time::Duration;

use app::Ws;
use features::agents::model::Agent;
use features::connections::model::Connection;
use features::connections::queries::turns;
use features::jobs::queries::now::going;
use features::runs::model::{EventKind, Habits, Run, Session};
use features::runs::queries::choice::{self, MessageOptions};
use features::runs::queries::makeup::{self, Group, Makeup, Share};
use features::runs::queries::{self, preferences, queue as reading, sessions, talk, words};
use features::usage::queries as usage;
use kernel::text::ellipsis;
use kernel::{Fast, RunId, Timestamp, Verbosity};
use providers::catalog;
use store::{Read, ReadExt, StoreError};
use web::format;
use web::parts::percent;

use super::{COMMANDS, Caller, Place, Surface};

/// How many of an agent's newest runs are searched for those of a conversation.
const RUNS: usize = 500;
/// How many of the last events are searched for the size of the context.
const LAST: usize = 200;

/// The conversation that a command describes.
pub struct CommandContext<'s> {
    pub ws: &'s Ws,
    pub tx: &'s dyn Read,
    pub who: Caller,
    pub agent: &'s Agent,
    pub session: Option<&'s Session>,
    pub now: Timestamp,
}

/// The list of commands; on a messenger, only of those that the caller may use.
pub fn help(place: &Place) -> String {
    if place.surface == Surface::Messenger {
        let lines = COMMANDS.iter().filter(|spec| place.admits(spec)).map(|spec| {
            let usage = format!("{} {}", spec.name, spec.arguments);
            format!("- `/{}` {}", usage.trim_end(), spec.about)
        });
        return lines.collect::<Vec<_>>().join("\n");
    }
    let mut out = String::from("| Command | |\n|---|---|\n");
    for spec in COMMANDS {
        let arguments = spec.arguments.replace('|', "\\|");
        // ok: writing to a String cannot fail.
        let _ = match arguments.as_str() {
            "" => writeln!(out, "| `/{}` | {} |", spec.name, spec.about),
            arguments => writeln!(out, "| `/{} {arguments}` | {} |", spec.name, spec.about),
        };
    }
    out.push_str(
        "\n`/think`, `/model` and `/fast` before text apply to that message only. A message that \
         starts with `//` is sent as text.",
    );
    out
}

/// The title of the conversation.
pub fn title(scene: &CommandContext<'_>) -> Result<String, StoreError> {
    Ok(match scene.session {
        Some(session) => format!("It is called “{}”.", sessions::title(scene.tx, session)?),
        None => "There is no conversation yet.".to_owned(),
    })
}

/// Model and thinking level.
pub fn model(scene: &CommandContext<'_>) -> Result<String, StoreError> {
    let CommandContext { tx, agent, session, .. } = *scene;
    let choice = choice::in_session(tx, session, agent, None, MessageOptions::default())?;
    let by = match choice.connection {
        Some(id) => tx.get::<Connection>(id)?.map(|connection| connection.name),
        None => None,
    };
    let by = by.map_or_else(String::new, |name| format!(" by {name}"));
    let levels = turns::levels(tx, choice.connection, &choice.model)?;
    let levels: Vec<&str> = levels.iter().map(|level| level.word()).collect();
    let mut out = format!(
        "- Model: `{}`{by}, chosen by {}\n- Thinking: {}, chosen by {}; its levels: {}",
        choice.model,
        words::source(choice.source),
        choice.thinking.word(),
        words::source(choice.thinking_source),
        levels.join(", "),
    );
    if session.is_some_and(|session| session.active_run.is_some()) {
        out.push_str("\n- Current work may continue as it started.");
    }
    Ok(out)
}

/// Whether fast mode is on, and its price.
pub fn fast(scene: &CommandContext<'_>) -> Result<String, StoreError> {
    let CommandContext { tx, agent, session, .. } = *scene;
    let habits = habits(scene)?;
    let choice = choice::in_session(tx, session, agent, None, MessageOptions::default())?;
    let costs = match turns::fast_percent(tx, choice.connection)? {
        Some(100) => "It uses priority bought from the provider at no extra cost".to_owned(),
        Some(percent) => {
            format!("Faster calls cost {percent} % of the price")
        }
        None => {
            format!("`{}` doesn’t support this, so it has no effect", choice.model)
        }
    };
    let chosen = match habits.fast {
        Some(Fast::Auto) => "auto, in the first minute of each run",
        Some(fast) => fast.word(),
        None => "not set; the provider decides",
    };
    Ok(format!("- Faster answers: {chosen}\n- {costs}"))
}

/// Queue mode of messages while a run works.
pub fn queue(scene: &CommandContext<'_>) -> Result<String, StoreError> {
    let CommandContext { tx, agent, session, .. } = *scene;
    let (queueing, waiting) = match session {
        Some(session) => {
            (reading::of_session(tx, session)?, reading::open_inputs(tx, session.id)?.len())
        }
        None => (reading::of_agent(tx, agent.id)?, 0),
    };
    let waiting = u64::try_from(waiting).unwrap_or(u64::MAX);
    Ok(format!(
        "- Queue: {} (chosen by {})\n- Pause before collected messages: {} ms\n- At most {} wait; \
         then: {}\n- {} now",
        words::mode(queueing.mode),
        queueing.by.word(),
        queueing.debounce.as_millis(),
        queueing.cap,
        queueing.drop.label(),
        match waiting {
            0 => "Nothing is waiting".to_owned(),
            n => format!("{} to be read", format::count(n, "message waiting", "messages waiting")),
        },
    ))
}

/// The agent's activity outside the conversation.
pub fn jobs(scene: &CommandContext<'_>) -> Result<String, StoreError> {
    let CommandContext { ws, tx, who, agent, now, .. } = *scene;
    let sees = |run: &Run| match who.account {
        Some(account) => talk::may_see_run(tx, run, account, who.role),
        None => Ok(false),
    };
    let mut all = going(ws, tx, &sees)?;
    all.retain(|one| one.agent.as_ref().is_some_and(|of| of.id == agent.id));
    let lines = all.into_iter().map(|one| {
        let name = match (&one.job, &one.run) {
            (Some(job), _) => job.number.to_string(),
            (None, Some(run)) => run.name(),
            (None, None) => String::new(),
        };
        let (kind, state) = (one.kind.label().0, one.state.label);
        // A clock that was set back counts as zero.
        let since = Duration::try_from(now.duration_since(one.since)).unwrap_or_default();
        let title = ellipsis(&one.title.replace('`', "'"), 120);
        format!("- {kind} {name}: `{title}`, {}, {}", state.to_lowercase(), format::duration(since))
    });
    let lines: Vec<String> = lines.collect();
    Ok(match lines.is_empty() {
        true => "Nothing else is running.".to_owned(),
        false => lines.join("\n"),
    })
}

/// Whether thoughts are shown.
pub fn reasoning(scene: &CommandContext<'_>) -> Result<String, StoreError> {
    let words = match habits(scene)?.shows_thoughts {
        Some(true) => "Its thinking is expanded in the conversation.",
        Some(false) => "Its thinking is hidden here. You can see it in a run’s steps.",
        None => "Its thinking is collapsed in the conversation.",
    };
    Ok(words.to_owned())
}

/// How much of the tool calls is shown.
pub fn verbose(scene: &CommandContext<'_>) -> Result<String, StoreError> {
    let words = match habits(scene)?.shows_tools {
        Some(Verbosity::On) => "Its tool calls are expanded in the conversation.",
        Some(Verbosity::Full) => {
            "Its tool calls are expanded in the conversation, with input and output."
        }
        Some(Verbosity::Off) => {
            "Its tool calls are hidden here. You can see them in a run’s \
            steps."
        }
        None => "Its tool calls are collapsed in the conversation.",
    };
    Ok(words.to_owned())
}

/// The effective preferences, also before the first message.
fn habits(scene: &CommandContext<'_>) -> Result<Habits, StoreError> {
    match scene.session {
        Some(session) => preferences::of_session(scene.tx, session),
        None => preferences::of_agent(scene.tx, scene.agent.id),
    }
}

/// Context size after the last response: tokens, and the share of the model's window.
fn context(scene: &CommandContext<'_>) -> Result<String, StoreError> {
    let CommandContext { tx, agent, session, .. } = *scene;
    let Some(session) = session else { return Ok("nothing yet".to_owned()) };
    let last = queries::last_events(tx, session.id, LAST)?;
    let used = last.into_iter().rev().find_map(|event| match event.kind {
        EventKind::Assistant { input_tokens, output_tokens, .. } if 0 < input_tokens => {
            Some(input_tokens + output_tokens)
        }
        EventKind::Compacted { how, .. } => Some(how.tokens_after),
        _ => None,
    });
    let Some(used) = used else { return Ok("nothing yet".to_owned()) };
    let choice = choice::in_session(tx, Some(session), agent, None, MessageOptions::default())?;
    let window = catalog::find(&choice.model).map(|model| u64::from(model.window));
    let times = queries::context(tx, session.id)?.compactions;
    let mut out = match window {
        Some(window) => format!(
            "{} of {} tokens ({} %)",
            format::tokens(used),
            format::tokens(window),
            percent(used, window)
        ),
        None => format!("{} tokens", format::tokens(used)),
    };
    if 0 < times {
        // ok: writing to a String cannot fail.
        let _ = write!(out, ", compacted {}", format::count(u64::from(times), "time", "times"));
    }
    Ok(out)
}

/// The content of the context, by kind or in detail.
pub fn makeup(scene: &CommandContext<'_>, detail: bool) -> Result<String, StoreError> {
    let CommandContext { tx, session, .. } = *scene;
    let made = match session {
        Some(session) => asked_last(tx, session)?,
        None => None,
    };
    let Some((run, made)) = made else { return Ok("No requests yet.".to_owned()) };
    let window = made.window.map_or_else(String::new, |window| {
        format!(" of {} ({} %)", format::tokens(window), percent(made.tokens, window))
    });
    let about = if made.counted { "" } else { "about " };
    let sum = format::tokens(made.tokens);
    let mut out = format!(
        "The last request to `{}`, in {}: {about}{sum}{window} tokens.\n\n",
        made.model,
        run.name(),
    );
    out.push_str(if detail {
        "| Part | Tokens | Cached |\n|---|---:|---|\n"
    } else {
        "| Kind | Tokens |\n|---|---:|\n"
    });
    let lines: Vec<String> = match detail {
        true => {
            let line = |share: &Share| {
                let kept = if share.stable { "yes" } else { "no" };
                format!("| {} | {} | {kept} |", share.name, format::tokens(share.tokens))
            };
            made.shares.iter().map(line).collect()
        }
        false => {
            let line = |(group, tokens): &(Group, u64)| {
                format!("| {} | {} |", group.label(), format::tokens(*tokens))
            };
            made.groups().iter().map(line).collect()
        }
    };
    out.push_str(&lines.join("\n"));
    Ok(out)
}

/// The newest run of a conversation that has called a model, and the content of its context.
fn asked_last(tx: &dyn Read, session: &Session) -> Result<Option<(Run, Makeup)>, StoreError> {
    let last = queries::last_events(tx, session.id, LAST)?;
    let runs: Vec<RunId> = last.iter().rev().filter_map(|event| event.run).collect();
    let mut seen = None;
    for id in runs.into_iter().filter(|id| seen.replace(*id) != Some(*id)) {
        let Some(run) = tx.get::<Run>(id)? else { continue };
        if let Some(made) = makeup::of_run(tx, &run)? {
            return Ok(Some((run, made)));
        }
    }
    Ok(None)
}

/// Status of agent, run and conversation.
pub fn status(scene: &CommandContext<'_>) -> Result<String, StoreError> {
    let CommandContext { ws, tx, agent, session, now, .. } = *scene;
    let does = match queries::halt::held(tx, agent)? {
        Some(why) => why.replace('_', " "),
        None => agent.status.label().to_lowercase(),
    };
    let run = match session.and_then(|session| session.active_run) {
        Some(run) => tx.get::<Run>(run)?,
        None => None,
    };
    let works = match &run {
        None => "nothing".to_owned(),
        Some(run) => {
            let state = words::seen(ws, tx, run)?.label.to_lowercase();
            let detail = run.waiting.as_ref().map_or("", |waiting| waiting.detail.as_str());
            let sep = if detail.is_empty() { "" } else { ": " };
            format!("{}, {state}{sep}{detail}", run.name())
        }
    };
    let title = match session {
        Some(session) => sessions::title(tx, session)?,
        None => "not started".to_owned(),
    };
    Ok(format!(
        "- **{}**: {does}\n- Conversation: {title}\n{}\n- Context: {}\n- At work: {works}\n{}\n- \
         Today (UTC): {} by this agent",
        agent.name,
        model(scene)?,
        context(scene)?,
        queue(scene)?,
        format::money(usage::agent_day(tx, agent.id, now)?),
    ))
}

/// Tokens and cost.
pub fn usage(scene: &CommandContext<'_>) -> Result<String, StoreError> {
    let CommandContext { tx, agent, session, now, .. } = *scene;
    let mut out = String::new();
    if let Some(session) = session {
        let newest = queries::of_agent(tx, agent.id, None, RUNS)?.into_iter();
        let runs: Vec<Run> =
            newest.map(|hit| hit.record).filter(|run| run.session == session.id).collect();
        let (mut calls, mut input, mut cached, mut output, mut micros) = (0, 0, 0, 0, 0);
        for run in &runs {
            for call in usage::of_run(tx, run.id)? {
                calls += 1;
                input += call.input + call.cache_read + call.cache_write + call.cache_write_1h;
                cached += call.cache_read;
                output += call.output;
            }
            micros += usage::run_cost(tx, run.id)?;
        }
        let runs = u64::try_from(runs.len()).unwrap_or(u64::MAX);
        out = format!(
            "- This conversation: {}, {}\n- Tokens: {} sent ({} of them cached), {} received\n- \
             Cost: {}\n",
            format::count(runs, "run", "runs"),
            format::count(calls, "model call", "model calls"),
            format::tokens(input),
            format::tokens(cached),
            format::tokens(output),
            format::money(micros),
        );
    }
    // ok: writing to a String cannot fail.
    let _ = write!(
        out,
        "- {} today (UTC): {}, this month: {}",
        agent.name,
        format::money(usage::agent_day(tx, agent.id, now)?),
        format::money(usage::agent_month(tx, agent.id, now)?),
    );
    Ok(out)
}
