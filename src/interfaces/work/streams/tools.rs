//! Stream tools for agents: list with progress, create, change.

use std::borrow::Cow;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use features::runs::model::Place;
use features::runs::queries::taint;
use features::streams::model::Stream;
use features::streams::queries::{self, StreamError};
use features::streams::rules::{self, NewStream, StreamPatch};
use features::tasks::queries::brief::Names;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::marks;
use kernel::{Assignee, Can, FieldError, StreamKind, TaskStatus};
use store::{Read, StoreError, WriteTx};
use tool::{Effect, Group, ReadTool, Registry, ToolCx, ToolError, ToolOutput, ToolSpec, WriteTool};

#[must_use]
pub fn tools() -> Registry {
    Registry::new().read(StreamList).write(StreamSave)
}

/// A stream in one line.
#[derive(Serialize)]
struct Line {
    stream: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    about: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    goal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    lead: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_date: Option<Date>,
    open: usize,
    done: usize,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    archived: bool,
}

fn line(read: &dyn Read, names: &Names, stream: Stream) -> Result<Line, StoreError> {
    let counts = marks::in_stream(read, stream.id)?;
    let open = counts.iter().filter(|(status, _)| status.is_open());
    Ok(Line {
        open: open.map(|(_, count)| count).sum(),
        done: counts.get(&TaskStatus::Done).copied().unwrap_or(0),
        lead: stream.lead.map(|who| names.people.handle(who)),
        target_date: stream.target_date,
        archived: stream.archived_at.is_some(),
        stream: stream.name,
        about: stream.description,
        goal: stream.goal,
    })
}

pub struct StreamList;

/// Arguments of `stream_list`.
#[derive(Deserialize, JsonSchema)]
pub struct ListArgs {
    /// words in name, line or goal
    q: Option<String>,
    /// also archived ones
    #[serde(default)]
    archived: bool,
}

impl ReadTool for StreamList {
    type Args = ListArgs;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("stream_list"),
        group: Group::Tasks,
        needs: Can::Read,
        effect: Effect::Read,
        about: Cow::Borrowed(
            "List streams with their goal, lead and progress. For a stream's tasks use \
                task_list with q stream:Name.",
        ),
    };

    async fn read(&self, cx: &ToolCx, args: ListArgs) -> Result<ToolOutput, ToolError> {
        let words = args.q.unwrap_or_default().to_lowercase();
        cx.ws.read(|snap| {
            let names = Names::read(snap)?;
            let (mut lines, mut places) = (Vec::new(), Vec::new());
            for stream in queries::all(snap)? {
                let text = format!("{} {} {}", stream.name, stream.description, stream.goal);
                let text = text.to_lowercase();
                let fits = words.split_whitespace().all(|word| text.contains(word));
                if fits && (args.archived || stream.archived_at.is_none()) {
                    places.push(Place::of(stream.id));
                    lines.push(line(snap, &names, stream)?);
                }
            }
            Ok::<_, ToolError>(taint::shown(snap, cx, places, ToolOutput::of(&lines))?)
        })
    }
}

/// `stream_save`: creates or changes a stream.
pub struct StreamSave;

/// Arguments of `stream_save`.
#[derive(Deserialize, JsonSchema)]
pub struct SaveArgs {
    /// the name of one to change; omit to create one
    stream: Option<String>,
    name: Option<String>,
    /// one line
    description: Option<String>,
    /// why its work is done, Markdown
    goal: Option<String>,
    /// me, a name, or none
    lead: Option<String>,
    /// YYYY-MM-DD or none
    target_date: Option<String>,
    kind: Option<StreamKind>,
    /// true archives it, false restores it
    archived: Option<bool>,
}

impl WriteTool for StreamSave {
    type Args = SaveArgs;
    type Ready = ();
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed("stream_save"),
        group: Group::Tasks,
        needs: Can::Write,
        effect: Effect::Add,
        about: Cow::Borrowed(
            "Create a stream, a group of tasks with one goal, or change one. Omitted fields stay unchanged.",
        ),
    };

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: SaveArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let names = Names::read(tx)?;
        let lead = match args.lead.as_deref() {
            Some(text) => Some(lead(&names, text, Assignee::Agent(cx.agent))?),
            None => None,
        };
        let target_date = args.target_date.as_deref().map(queries::day).transpose()?;
        let mut stream = match args.stream.as_deref() {
            Some(text) => {
                let old = queries::resolve(tx, text)?;
                if args.archived == Some(false) {
                    rules::restore(tx, old.id)?;
                }
                let patch = StreamPatch {
                    name: args.name,
                    description: args.description,
                    goal: args.goal,
                    kind: args.kind,
                    lead,
                    target_date,
                    ..StreamPatch::default()
                };
                match patch == StreamPatch::default() {
                    true => queries::get_rev(tx, old.id)?.0,
                    false => rules::update(tx, old.id, patch)?,
                }
            }
            None => {
                let new = NewStream {
                    description: args.description.unwrap_or_default(),
                    goal: args.goal.unwrap_or_default(),
                    kind: args.kind.unwrap_or(StreamKind::Custom),
                    lead: lead.flatten(),
                    target_date: target_date.flatten(),
                    ..NewStream::called(args.name.unwrap_or_default())
                };
                rules::create(tx, new)?
            }
        };
        if args.archived == Some(true) {
            stream = rules::archive(tx, stream.id)?;
        }
        Ok(ToolOutput::of(&line(tx, &names, stream)?))
    }
}

/// Resolves the lead of a stream.
fn lead(names: &Names, text: &str, me: Assignee) -> Result<Option<Assignee>, StreamError> {
    match names.people.find(text, me) {
        Ok(who) => Ok(who),
        Err(TaskError::Store(error)) => Err(error.into()),
        Err(error) => Err(StreamError::Invalid(vec![FieldError::new("lead", error.to_string())])),
    }
}
