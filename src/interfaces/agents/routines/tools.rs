//! Routine tools for agents: an agent's own routines only, by the same rules as the pages.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use features::routines::model::Routine;
use features::routines::queries::{self, view};
use features::routines::registry::{self, Kind};
use features::routines::rules::{self, RoutineError};
use features::routines::wish::RoutineRequest;
use kernel::{Can, RoutineId};
use store::{Read, WriteTx};
use tool::{Effect, Group, ReadTool, Registry, ToolCx, ToolError, ToolOutput, ToolSpec, WriteTool};

#[must_use]
pub fn tools() -> Registry {
    Registry::new().read(RoutineList).write(RoutineSave).write(RoutineDelete)
}

const fn spec(name: &'static str, effect: Effect, about: &'static str) -> ToolSpec {
    let needs = match effect {
        Effect::Read => Can::Read,
        _ => Can::Write,
    };
    ToolSpec {
        name: Cow::Borrowed(name),
        group: Group::Tasks,
        needs,
        effect,
        about: Cow::Borrowed(about),
    }
}

/// A routine in one line.
#[derive(Serialize)]
struct Line {
    id: RoutineId,
    state: &'static str,
    when: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// Tasks whose result it waits for, with the time at which it fires unless they change again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    writing: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<String>,
    runs: u32,
    routine: RoutineRequest,
}

fn line(read: &dyn Read, routine: &Routine) -> Result<Line, RoutineError> {
    let clock = queries::clock(read, routine.id)?;
    let paused = queries::rules(read)?.paused_at.is_some();
    let writing = view::written(read, &clock)?.into_iter();
    Ok(Line {
        id: routine.id,
        state: view::standing(routine, paused).0,
        when: view::when(routine),
        next: clock.next_at.map(|at| at.to_string()),
        writing: writing.map(|one| format!("{} {}", one.task, one.due_at)).collect(),
        stopped: routine.stopped.clone(),
        runs: clock.count,
        routine: RoutineRequest { agent: None, ..RoutineRequest::from(routine) },
    })
}

/// `routine_list`: lists the agent's own routines.
pub struct RoutineList;

/// Arguments of `routine_list`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ListArgs {
    /// Lists the events that contain this word, such as `task`, with their fields, instead of routines.
    events: Option<String>,
}

#[derive(Serialize)]
struct Listed {
    routines: Vec<Line>,
}

#[derive(Serialize)]
struct EventLine {
    event: &'static str,
    when: &'static str,
    /// Each with the type it is compared with.
    fields: Vec<String>,
}

#[derive(Serialize)]
struct Events {
    events: Vec<EventLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<String>,
}

/// Maximum number of events listed with their fields.
const MOST_EVENTS: usize = 12;

/// The events that contain a word.
fn events(word: &str) -> Events {
    let word = word.trim().to_lowercase();
    let fits = |kind: &&Kind| kind.word.contains(&word) || kind.label.contains(&word);
    let mut found: Vec<&Kind> = registry::all().filter(fits).collect();
    let rest = found.split_off(found.len().min(MOST_EVENTS));
    let more = (!rest.is_empty()).then(|| {
        let words: Vec<&str> = rest.iter().map(|kind| kind.word).collect();
        format!("also: {}; ask for one of them to see its fields", words.join(", "))
    });
    let line = |kind: &Kind| EventLine {
        event: kind.word,
        when: kind.label,
        fields: kind.fields().map(|one| format!("{} ({})", one.name, one.of.word())).collect(),
    };
    Events { events: found.into_iter().map(line).collect(), more }
}

impl ReadTool for RoutineList {
    type Args = ListArgs;
    const SPEC: ToolSpec = spec(
        "routine_list",
        Effect::Read,
        "List your routines: what wakes you at a time or after an event. Or the available events.",
    );

    async fn read(&self, cx: &ToolCx, args: ListArgs) -> Result<ToolOutput, ToolError> {
        if let Some(word) = &args.events {
            return Ok(ToolOutput::of(&events(word)));
        }
        cx.ws.read(|snap| {
            let own = queries::of_agent(snap, cx.agent)?;
            let routines = own.iter().map(|routine| line(snap, routine));
            let routines = routines.collect::<Result<Vec<_>, RoutineError>>()?;
            Ok(ToolOutput::of(&Listed { routines }))
        })
    }
}

/// `routine_save`: creates or changes one of the agent's own routines.
pub struct RoutineSave;

/// Arguments of `routine_save`.
#[derive(Deserialize, JsonSchema)]
pub struct SaveArgs {
    /// The one to change; omit to create one.
    id: Option<RoutineId>,
    /// The full definition; omitted fields get their default.
    routine: RoutineRequest,
}

impl WriteTool for RoutineSave {
    type Args = SaveArgs;
    type Ready = ();
    const SPEC: ToolSpec = spec(
        "routine_save",
        Effect::Add,
        "Create or change one of your routines: a schedule or an event that wakes you with an \
         instruction.",
    );

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: SaveArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let routine = rules::save(tx, args.id, cx.agent, &args.routine)?;
        Ok(ToolOutput::of(&line(tx, &routine)?))
    }
}

/// `routine_delete`: deletes one of the agent's own routines.
pub struct RoutineDelete;

/// Arguments of `routine_delete`.
#[derive(Deserialize, JsonSchema)]
pub struct DeleteArgs {
    /// Which.
    id: RoutineId,
}

impl WriteTool for RoutineDelete {
    type Args = DeleteArgs;
    type Ready = ();
    const SPEC: ToolSpec =
        spec("routine_delete", Effect::Delete, "Delete one of your routines with its history.");

    fn commit(
        &self,
        _: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: DeleteArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        rules::delete(tx, args.id)?;
        Ok(ToolOutput::text("Deleted."))
    }
}
