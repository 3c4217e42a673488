//! Tools for recurring tasks: list, create, change, pause, and create the next task now.

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec;
use features::tasks::model::series::Series;
use features::tasks::queries::brief::Names;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::{self, series as reads};
use features::tasks::rules::series::{self as rules, NewSeries, SeriesPatch};
use kernel::{Assignee, MissedPolicy, Priority, ScheduleFields, Timestamp, TypedId as _};
use store::{Read, StoreError, WriteTx};
use tool::{Aliases, Effect, ReadTool, ToolCx, ToolError, ToolOutput, ToolSpec, WriteTool};

/// Number of the newest occurrences returned.
const SHOWN: usize = 10;

/// A series in one line.
#[derive(Serialize)]
struct Line {
    series: String,
    title: String,
    state: &'static str,
    when: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Timestamp>,
    priority: Priority,
    #[serde(skip_serializing_if = "Option::is_none")]
    assignee: Option<String>,
    tasks: reads::Tally,
}

fn line(read: &dyn Read, names: &Names, series: &Series) -> Result<Line, StoreError> {
    Ok(Line {
        series: series.id.short(),
        title: series.title.clone(),
        state: series.going().word(),
        when: series.schedule.words(),
        next: series.next_at,
        priority: series.priority,
        assignee: series.assignee.map(|who| names.people.handle(who)),
        tasks: reads::tally(read, series.id)?,
    })
}

/// `series_list`: lists recurring tasks.
pub struct SeriesList;

/// Arguments of `series_list`.
#[derive(Deserialize, JsonSchema)]
pub struct ListArgs {
    /// id or title of one, for all its details and tasks
    series: Option<String>,
}

/// A series with its occurrences.
#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    line: Line,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
    schedule: ScheduleFields,
    missed_policy: MissedPolicy,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_on: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_after_count: Option<u32>,
    made: Vec<reads::SlotView>,
}

impl ReadTool for SeriesList {
    type Args = ListArgs;
    const SPEC: ToolSpec = spec(
        "series_list",
        Effect::Read,
        "List recurring tasks with their schedule, assignee and results. Name one to see all its \
         details.",
    );

    async fn read(&self, cx: &ToolCx, args: ListArgs) -> Result<ToolOutput, ToolError> {
        cx.ws.read(|snap| {
            let names = Names::read(snap)?;
            let Some(text) = args.series.as_deref() else {
                let all = reads::all(snap)?;
                let lines = all.iter().map(|one| line(snap, &names, one));
                return Ok(ToolOutput::of(&lines.collect::<Result<Vec<_>, StoreError>>()?));
            };
            let series = reads::resolve(snap, text)?;
            let used = reads::used(snap, series.id, SHOWN)?;
            let made = used.iter().map(|slot| reads::SlotView::of(snap, &names, slot));
            Ok(ToolOutput::of(&Whole {
                line: line(snap, &names, &series)?,
                made: made.collect::<Result<Vec<_>, StoreError>>()?,
                schedule: ScheduleFields::from(&series.schedule),
                missed_policy: series.missed,
                ends_on: series.last_day().map(|day| day.to_string()),
                ends_after_count: series.ends_after,
                description: series.description,
                labels: series.labels,
            }))
        })
    }
}

/// `series_save`: creates or changes a recurring task.
pub struct SeriesSave;

/// Arguments of `series_save`.
#[derive(Deserialize, JsonSchema)]
pub struct SaveArgs {
    /// id or title of one to change, for future tasks; omit to create one
    series: Option<String>,
    title: Option<String>,
    /// Markdown
    description: Option<String>,
    priority: Option<Priority>,
    /// me, a person, an agent that reports to you, or none
    assignee: Option<String>,
    stream: Option<String>,
    labels: Option<Vec<String>>,
    /// the schedule; required for a new one
    schedule: Option<ScheduleFields>,
    /// what happens to the previous open task
    missed_policy: Option<MissedPolicy>,
    /// last day, YYYY-MM-DD or none
    ends_on: Option<String>,
    ends_after_count: Option<u32>,
}

impl WriteTool for SeriesSave {
    type Args = SaveArgs;
    type Ready = ();
    const ALIASES: Aliases = &[("tags", "labels")];
    const SPEC: ToolSpec = spec(
        "series_save",
        Effect::Add,
        "Create or change a recurring task (daily, weekly, …). Omitted fields stay unchanged.",
    );

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: SaveArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let names = Names::read(tx)?;
        let old = match args.series.as_deref() {
            Some(text) => Some(reads::resolve(tx, text)?.id),
            None => None,
        };
        let patch = patch(tx, &names, Assignee::Agent(cx.agent), args)?;
        let series = match old {
            Some(id) => rules::update(tx, id, patch)?,
            None => rules::create(tx, new(patch)?)?,
        };
        Ok(ToolOutput::of(&line(tx, &names, &series)?))
    }
}

fn patch(
    tx: &WriteTx<'_>,
    names: &Names,
    me: Assignee,
    args: SaveArgs,
) -> Result<SeriesPatch, TaskError> {
    let zone = names.zone.iana_name().unwrap_or("UTC");
    let schedule = args.schedule.map(|fields| fields.read(zone, tx.now()));
    let ends_on = match args.ends_on.as_deref().map(str::trim) {
        None => None,
        Some("" | "none") => Some(None),
        Some(text) => {
            let day = text.parse::<Date>();
            let wrong =
                |_| TaskError::field("ends_on", "write the last day as 2026-12-31, or none");
            Some(Some(day.map_err(wrong)?))
        }
    };
    Ok(SeriesPatch {
        title: args.title,
        description: args.description,
        priority: args.priority,
        assignee: args.assignee.map(|who| names.people.find(&who, me)).transpose()?,
        stream: args.stream.map(|text| queries::stream(tx, &text)).transpose()?,
        labels: args.labels,
        schedule: schedule.transpose().map_err(TaskError::Invalid)?,
        missed: args.missed_policy,
        ends_on,
        ends_after: args.ends_after_count.map(Some),
        ..SeriesPatch::default()
    })
}

/// Builds a new series from a patch.
fn new(patch: SeriesPatch) -> Result<NewSeries, TaskError> {
    let Some(schedule) = patch.schedule else {
        return Err(TaskError::field(
            "schedule",
            "give a schedule, such as {\"cadence_type\": \"weekdays\"}",
        ));
    };
    Ok(NewSeries {
        title: patch.title.unwrap_or_default(),
        description: patch.description.unwrap_or_default(),
        priority: patch.priority.unwrap_or(Priority::Medium),
        assignee: patch.assignee.flatten(),
        stream: patch.stream.flatten(),
        model: None,
        thinking: None,
        labels: patch.labels.unwrap_or_default(),
        schedule,
        missed: patch.missed.unwrap_or(MissedPolicy::AutoSkip),
        due: patch.due.flatten(),
        ends_on: patch.ends_on.flatten(),
        ends_after: patch.ends_after.flatten(),
    })
}

/// What is done to a series.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Act {
    Pause,
    Resume,
    Spawn,
}

/// `series_control`: pauses or resumes a recurring task, or creates the next task now.
pub struct SeriesControl;

/// Arguments of `series_control`.
#[derive(Deserialize, JsonSchema)]
pub struct ControlArgs {
    /// id or title
    series: String,
    /// spawn creates the next task now instead of at its time
    act: Act,
}

impl WriteTool for SeriesControl {
    type Args = ControlArgs;
    type Ready = ();
    const SPEC: ToolSpec = spec(
        "series_control",
        Effect::Change,
        "Pause or resume a recurring task, or create its next task now.",
    );

    fn commit(
        &self,
        _: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: ControlArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let id = reads::resolve(tx, &args.series)?.id;
        let names = Names::read(tx)?;
        let series = match args.act {
            Act::Pause => rules::pause(tx, id)?,
            Act::Resume => rules::resume(tx, id)?,
            Act::Spawn => {
                let task = rules::spawn_now(tx, id)?;
                return Ok(ToolOutput::of(&names.line(&task)));
            }
        };
        Ok(ToolOutput::of(&line(tx, &names, &series)?))
    }
}
