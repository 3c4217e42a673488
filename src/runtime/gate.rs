//! The one way to a tool. Each call of each run is weighed here, between the check of its arguments and its journal: it is
//! made, refused, or asked for. A call that is asked for gives its run's slot back and is weighed anew when somebody has
//! answered; what it would do then has to be what the yes was given to, to the byte.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use serde_json::Value;
use sha2::{Digest, Sha256};

use commands::{Level, Machine, Pattern, Reduced, Seen};
use features::agents::queries::reach;
use features::runs::rules::Pause;
use features::trust::model::{Approval, Offer, Plan, What, Witness};
use features::trust::rules::NewApproval;
use features::trust::weigh::{self, Asked, Facts, Reach, Verdict};
use features::trust::{queries as trust, rules};
use features::workspace::model::Member;
use git::files::AgentFiles;
use kernel::text::ellipsis;
use kernel::{AgentId, ApprovalAnswer, ApprovalId, Leave, Risk, RunTrigger, Timestamp, WaitFor};
use store::ReadExt;
use tool::registry::Entry;
use tool::{Effect, Lease, ToolError};

use super::EngineError;
use super::journal::blocking;
use super::model_call::not_halted;
use super::toolbox::Call;
use super::tools::{folder, request};
use super::turn::Turn;

/// How long a program that waits on its connection is kept waiting for a yes.
const WHOEVER_WAITS: SignedDuration = SignedDuration::from_mins(30);
/// The most files that a yes is bound to one by one.
const MAX_FILES: usize = 32;
/// The most places in which a word of a line is looked for.
const MAX_TRIED: usize = 2_000;
/// The most of a call that people are shown, in bytes.
const MAX_SHOWN: usize = 32 * 1024;
/// Where a bare name is looked for in the jail.
const PATH: &[&str] =
    &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// Programs that do what files say which the agent writes: settings, scripts of a package, hooks. The same words may
/// mean something else tomorrow, so no yes to them is kept.
const FOLDERS_CODE: &[&str] = &[
    "bun", "cargo", "curl", "docker", "gh", "git", "go", "kubectl", "npm", "npx", "pip", "pip3",
    "pnpm", "podman", "ssh", "uv", "wget", "yarn",
];
/// What `process` does without touching the program.
const PROCESS_LOOKS: &[&str] = &["list", "poll", "log", "kill", "clear", "remove"];

/// What becomes of a call.
pub(super) enum Passed {
    /// It is made.
    Go(Lease),
    /// It is refused; the model reads why.
    Refused(ToolError),
    /// Somebody is asked; the run waits.
    Waits,
}

/// A command line: what the shell will make of it, and what that is on this machine.
struct Line {
    text: String,
    /// The folder in which it runs.
    cwd: String,
    reduced: Reduced,
    seen: Result<Vec<Seen>, commands::Why>,
}

/// A call as it was weighed.
struct Weighed {
    verdict: Verdict,
    plan: Plan,
    digest: [u8; 32],
    line: Option<Line>,
    /// Whether its command line is all that it is.
    bare: bool,
    request: Option<Asked>,
    answered: Option<Approval>,
}

impl Turn {
    /// Weighs a call.
    pub(super) async fn gate(&mut self, call: &Call, entry: &Entry) -> Result<Passed, EngineError> {
        let arguments = match entry.canonical(&call.arguments) {
            Ok(arguments) => arguments,
            Err(error) => return Ok(Passed::Refused(error)),
        };
        let weighed = self.weigh(call, entry, arguments).await?;
        let now = self.talk.journal.ws.app.clock.now();
        let mut changed = None;
        if let Some(approval) = &weighed.answered {
            let over = approval.until.is_some_and(|until| until <= now);
            match approval.answer.as_ref().map(|answer| (answer.answer, answer)) {
                Some((ApprovalAnswer::Denied, answer)) => {
                    let told = self.denied(answer.by, &answer.note)?;
                    return Ok(Passed::Refused(told));
                }
                Some((ApprovalAnswer::Expired, _)) => return Ok(Passed::Refused(unanswered())),
                None if over => {
                    self.close(approval.id, ApprovalAnswer::Expired).await?;
                    return Ok(Passed::Refused(unanswered()));
                }
                _ if weighed.verdict.leave == Leave::Deny => {}
                Some(_) if approval.is_allowed() && approval.digest == weighed.digest => {
                    self.ends.approved = Some(approval.id);
                    return Ok(Passed::Go(Lease::granted(weighed.plan.arguments)));
                }
                Some(_) if approval.is_allowed() => {
                    changed = Some(differs(&approval.plan, &weighed.plan));
                    self.close(approval.id, ApprovalAnswer::Changed).await?;
                }
                // A message came, or the program was started anew: it waits on.
                None if approval.digest == weighed.digest => {
                    let (shown, until) = (approval.plan.shown.clone(), approval.until);
                    self.wait_for_yes(call, (&shown, until), None).await?;
                    return Ok(Passed::Waits);
                }
                None => self.close(approval.id, ApprovalAnswer::Changed).await?,
                Some(_) => {}
            }
        }
        match weighed.verdict.leave {
            Leave::Allow => Ok(Passed::Go(Lease::granted(weighed.plan.arguments))),
            Leave::Deny => Ok(Passed::Refused(ToolError::refused("denied", weighed.verdict.why))),
            Leave::Ask => {
                let new = self.approval(call, weighed, changed, now);
                let (shown, until) = (new.plan.shown.clone(), new.until);
                self.wait_for_yes(call, (&shown, until), Some(new)).await?;
                Ok(Passed::Waits)
            }
        }
    }

    /// The rights to make several calls that only look; none when one of them is not simply made.
    pub(super) async fn leases(&self, calls: &[Call]) -> Result<Option<Vec<Lease>>, EngineError> {
        let mut leases = Vec::with_capacity(calls.len());
        for call in calls {
            let Some(entry) = self.setting.engine.tools.get(&call.name) else { return Ok(None) };
            let Ok(arguments) = entry.canonical(&call.arguments) else { return Ok(None) };
            let weighed = self.weigh(call, entry, arguments).await?;
            if weighed.verdict.leave != Leave::Allow || weighed.answered.is_some() {
                return Ok(None);
            }
            leases.push(Lease::granted(weighed.plan.arguments));
        }
        Ok(Some(leases))
    }

    /// Whether somebody has answered what was asked before this call.
    pub(super) fn is_answered(&self, call: &Call) -> Result<bool, EngineError> {
        let run = self.talk.journal.run;
        let asked = self.talk.journal.ws.read(|snap| trust::of_call(snap, run, &call.id))?;
        Ok(asked.is_some_and(|one| one.answer.is_some()))
    }

    async fn weigh(
        &self,
        call: &Call,
        entry: &Entry,
        arguments: String,
    ) -> Result<Weighed, EngineError> {
        let (agent, run) = (self.setting.agent.id, self.talk.journal.run);
        let ws = &self.talk.journal.ws;
        let (agents, mut programs, answered) = ws.read(|snap| {
            let agents = reach::agents_of(snap, agent, run)?;
            let programs = weigh::programs(snap, &agents)?;
            Ok::<_, EngineError>((agents, programs, trust::of_call(snap, run, &call.id)?))
        })?;
        if self.setting.child.as_ref().is_some_and(|child| !child.may_network)
            && programs == Reach::AnyHost
        {
            programs = Reach::Inside;
        }
        // ok: canonical arguments are an object.
        let given: Value = serde_json::from_str(&arguments).unwrap_or_default();
        let mut effect = entry.spec.effect;
        let mut reach = weigh::reach_of(entry.spec.name, effect, programs);
        let text = |key: &str| given.get(key).and_then(Value::as_str).unwrap_or_default();
        if entry.spec.name == "process" && PROCESS_LOOKS.contains(&text("action")) {
            (effect, reach) = (Effect::Read, Reach::Inside);
        }
        if entry.spec.name == request::NAME && self.is_named(&given, &agents)? {
            reach = Reach::Inside;
        }
        let command = if effect == Effect::Exec { text("command") } else { "" };
        let folder = ws.agent_folder(&self.setting.agent.slug);
        let request = request_of(&given);
        let variables = given.get("env").and_then(Value::as_object);
        let (line, files) = match command {
            "" => (None, Vec::new()),
            command => {
                let below = text("workdir").to_owned();
                let (line, files) = looked_at(command.to_owned(), folder, below).await?;
                (Some(line), files)
            }
        };
        let plan = Plan {
            shown: ellipsis(&shown(entry.spec.name, command, &given), MAX_SHOWN),
            folder: line.as_ref().map(|line| line.cwd.clone()).unwrap_or_default(),
            variables: variables.into_iter().flatten().map(|(name, _)| name.clone()).collect(),
            files,
            arguments,
        };
        let digest = digest(entry.spec.name, &plan);
        let bare = is_bare(&given);
        let now = ws.app.clock.now();
        let facts = Facts {
            tool: entry.spec.name,
            effect,
            reach,
            digest,
            // Variables, keys and a program that goes on are more than its words.
            line: line.as_ref().filter(|_| bare).map(|line| &line.seen),
            request: request.as_ref(),
            now,
        };
        let verdict = ws.read(|snap| weigh::weigh(snap, &agents, Some(run), &facts))?;
        Ok(Weighed { verdict, plan, digest, line, bare, request, answered })
    }

    /// Whether a request only looks, as a page is fetched, or goes where a person has sent this agent.
    fn is_named(&self, given: &Value, agents: &[AgentId]) -> Result<bool, EngineError> {
        let text = |key: &str| given.get(key).and_then(Value::as_str).unwrap_or_default();
        let method = text("method").trim().to_ascii_uppercase();
        if matches!(method.as_str(), "" | "GET" | "HEAD")
            && given.get("body").is_none()
            && !given.to_string().contains(request::SECRET)
        {
            return Ok(true);
        }
        let hosts = self.talk.journal.ws.read(|snap| reach::of_all(snap, agents))?;
        let at = url::Url::parse(text("url"));
        Ok(hosts.are_listed() && at.is_ok_and(|at| hosts.check(&at).is_ok()))
    }

    /// What is asked of a person.
    fn approval(
        &self,
        call: &Call,
        weighed: Weighed,
        changed: Option<String>,
        now: Timestamp,
    ) -> NewApproval {
        let Weighed { verdict, plan, digest, line, bare, request, .. } = weighed;
        let (risk, offers) = match &line {
            Some(line) if bare => (risk_of(line), offers_of(line)),
            Some(line) if plan.variables.iter().any(|name| is_telling(name)) => {
                (Risk::High.max(risk_of(line)), Vec::new())
            }
            Some(line) => (Risk::Medium.max(risk_of(line)), Vec::new()),
            None => (Risk::Medium, offers_of_request(request, digest, &plan)),
        };
        NewApproval {
            run: self.talk.journal.run,
            call_id: call.id.clone(),
            agent: self.setting.agent.id,
            tool: call.name.clone(),
            plan,
            digest,
            risk,
            why: changed.unwrap_or(verdict.why),
            offers,
            until: (self.setting.trigger == RunTrigger::Api).then(|| now + WHOEVER_WAITS),
        }
    }

    /// Keeps what is asked, if it is new, and gives the slot back.
    async fn wait_for_yes(
        &mut self,
        call: &Call,
        (shown, until): (&str, Option<Timestamp>),
        new: Option<NewApproval>,
    ) -> Result<(), EngineError> {
        let name = call.name.clone();
        let first = ellipsis(shown.lines().next().unwrap_or_default(), 160);
        let detail = self.talk.journal.ws.app.redactor.text(&first).into_owned();
        self.talk
            .journal
            .write(move |tx, mut pen| {
                not_halted(tx, &pen)?;
                if let Some(new) = new {
                    rules::ask(tx, new)?;
                }
                pen.run.activity = name;
                let appended = std::mem::take(&mut pen.appended);
                let waits_for = WaitFor::Approval;
                pen.wait(tx, Pause { waits_for, detail, needs_micros: None, until })?;
                Ok(((), appended))
            })
            .await
    }

    async fn close(&self, id: ApprovalId, answer: ApprovalAnswer) -> Result<(), EngineError> {
        let journal = &self.talk.journal;
        let write = move |tx: &mut store::WriteTx<'_>| rules::close(tx, id, answer);
        Ok(journal.ws.store.write(journal.actor(), journal.cause(), write).await?)
    }

    fn denied(&self, by: Option<kernel::AccountId>, note: &str) -> Result<ToolError, EngineError> {
        let member = match by {
            Some(by) => self.talk.journal.ws.read(|snap| snap.get::<Member>(by))?,
            None => None,
        };
        let who = member.map_or_else(|| "A person".to_owned(), |member| member.name);
        let told = match note {
            "" => format!("{who} said no. Do it in another way, or say what is open"),
            note => format!("{who} said no: {note}"),
        };
        Ok(ToolError::refused("approval_denied", told))
    }
}

fn unanswered() -> ToolError {
    ToolError::refused(
        "approval_expired",
        "nobody has answered in time; do it in another way, or say what is open",
    )
}

/// What people read of a call: of a program its variables before its command line, and what else it gets behind it.
fn shown(tool: &str, command: &str, given: &Value) -> String {
    if tool != "exec" || command.is_empty() {
        // ok: a value of our own making is written.
        return serde_json::to_string_pretty(given).unwrap_or_default();
    }
    let mut shown = String::new();
    for (name, value) in given.get("env").and_then(Value::as_object).into_iter().flatten() {
        let value = value.as_str().unwrap_or_default().replace('\'', r"'\''");
        shown.push_str(&format!("{name}='{value}'\n"));
    }
    shown.push_str(command);
    let secrets = given.get("secrets").and_then(Value::as_array).into_iter().flatten();
    let secrets: Vec<&str> = secrets.filter_map(Value::as_str).collect();
    if !secrets.is_empty() {
        shown.push_str(&format!("\n# with the secrets {}", secrets.join(", ")));
    }
    if given.get("background").and_then(Value::as_bool) == Some(true) {
        shown.push_str("\n# goes on in the background");
    }
    shown
}

/// Whether a command line, its folder and how long one waits are all that a call says.
fn is_bare(given: &Value) -> bool {
    const SAID: &[&str] = &["command", "workdir", "yieldMs", "timeoutSeconds"];
    given.as_object().is_some_and(|given| given.keys().all(|key| SAID.contains(&key.as_str())))
}

/// Whether a variable of this name may say which code a program runs.
fn is_telling(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let begins = ["LD_", "GIT_", "NODE_", "PYTHON", "PERL", "RUBY", "CARGO_", "RUSTC", "NPM_"];
    let ends = ["OPTIONS", "OPTS", "PAGER", "EDITOR", "PATH", "SHELL"];
    begins.iter().any(|part| name.starts_with(part)) || ends.iter().any(|part| name.ends_with(part))
}

/// What a call asks of whom, when it names an address.
fn request_of(given: &Value) -> Option<Asked> {
    let url = url::Url::parse(given.get("url")?.as_str()?).ok()?; // ok: no address, no host
    let method = given.get("method").and_then(Value::as_str).unwrap_or_default().trim();
    let method = if method.is_empty() { "GET" } else { method }.to_ascii_uppercase();
    let host = url.host_str()?.trim_end_matches('.').to_ascii_lowercase();
    let is_usual = url.scheme() == "https" && url.port_or_known_default() == Some(443);
    Some(Asked { method, host, is_usual })
}

/// SHA-256 over the tool and all of its plan, each part with its length before it.
fn digest(tool: &str, plan: &Plan) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    };
    add(tool.as_bytes());
    add(plan.arguments.as_bytes());
    add(plan.folder.as_bytes());
    for file in &plan.files {
        add(file.path.as_bytes());
        add(&file.hash);
    }
    hash.finalize().into()
}

/// The words of a command line that may be files, each with the folders that it may be seen from, below the line's own.
/// Of a line that cannot be taken apart these are all words below all words.
fn words_of(line: &Line) -> Vec<(String, String)> {
    let mut words = Vec::new();
    match &line.reduced {
        Reduced::Plan(parts) => {
            for part in parts {
                let commands = match commands::unwrap(&part.argv) {
                    commands::Unwrapped::Commands(commands) => commands,
                    commands::Unwrapped::Opaque(_) => {
                        let said = part.argv.iter().map(|word| (String::new(), word.clone()));
                        words.extend(said);
                        loose(&part.argv.join(" "), &mut words);
                        continue;
                    }
                };
                for (outer, command) in
                    part.folders.iter().flat_map(|at| commands.iter().map(move |one| (at, one)))
                {
                    for inner in &command.folders {
                        let at = format!("{outer}/{inner}");
                        let at = at.trim_matches('/');
                        words.extend(command.argv.iter().map(|word| (at.to_owned(), word.clone())));
                    }
                }
            }
        }
        Reduced::Opaque(_) => loose(&line.text, &mut words),
    }
    words
}

/// All that looks like a word, also below all else that does.
fn loose(text: &str, words: &mut Vec<(String, String)>) {
    let parts = text.split(|c: char| c.is_whitespace() || "\"'`;|&<>()$={}".contains(c));
    let parts: Vec<&str> = parts.filter(|word| !word.is_empty()).take(MAX_FILES).collect();
    for at in std::iter::once("").chain(parts.iter().copied()) {
        words.extend(parts.iter().map(|word| (at.to_owned(), (*word).to_owned())));
    }
}

/// A command line as it is on this machine now, and the files of the agent that it names.
async fn looked_at(
    text: String,
    folder: PathBuf,
    below: String,
) -> Result<(Line, Vec<Witness>), EngineError> {
    blocking(move || {
        let folder = folder.canonicalize().unwrap_or(folder);
        let files = folder::open(&folder).ok();
        // ok: a folder that is refused here is refused by the program's start, too.
        let below = match (&files, below.as_str()) {
            (_, "") | (None, _) => String::new(),
            (Some(files), below) => folder::relative(files, below).unwrap_or_default(),
        };
        let cwd = folder.join(below);
        let reduced = commands::reduce(&text);
        let (at, cwd) = (folder.display().to_string(), cwd.display().to_string());
        let jail = Jail { files, folder };
        let place = commands::Place { folder: &at, start: &cwd, machine: &jail };
        let seen = commands::look(&reduced, &place);
        let line = Line { text, cwd, reduced, seen };
        let files = witnesses(&line, &jail);
        (line, files)
    })
    .await
}

/// The files of the agent that a line names, as they are now. Of very many the last stands for all others. Blocking.
fn witnesses(line: &Line, jail: &Jail) -> Vec<Witness> {
    let mut found = BTreeMap::new();
    for bound in line.seen.iter().flatten().flat_map(|seen| &seen.files) {
        found.extend(jail.sum(Path::new(&bound.path)));
    }
    let mut tried = BTreeSet::new();
    for (at, word) in words_of(line) {
        let path = Path::new(&line.cwd).join(at).join(word);
        if tried.len() < MAX_TRIED && tried.insert(path.clone()) {
            // ok: no file, no witness
            found.extend(path.canonicalize().ok().and_then(|path| jail.sum(&path)));
        }
    }
    let mut all: Vec<Witness> =
        found.into_iter().map(|(path, hash)| Witness { path, hash }).collect();
    if MAX_FILES < all.len() {
        let rest = all.split_off(MAX_FILES - 1);
        let mut hash = Sha256::new();
        for one in &rest {
            hash.update((one.path.len() as u64).to_le_bytes());
            hash.update(one.path.as_bytes());
            hash.update(one.hash);
        }
        let path = format!("{} more files", rest.len());
        all.push(Witness { path, hash: hash.finalize().into() });
    }
    all
}

/// The machine as a program in the jail finds it, with the agent's folder if it is there. A file outside of that has no
/// hash: a yes to it is never kept.
struct Jail {
    folder: PathBuf,
    files: Option<AgentFiles>,
}

impl Jail {
    /// The name and SHA-256 of a file of the agent that tools can read.
    fn sum(&self, path: &Path) -> Option<(String, [u8; 32])> {
        let name = path.strip_prefix(&self.folder).ok()?.display().to_string();
        let hash = folder::hash(self.files.as_ref()?, &name).ok()??;
        Some((name, hash))
    }
}

impl Machine for Jail {
    fn resolve(&self, name: &str) -> Option<String> {
        let found = PATH.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.is_file())?;
        Some(found.display().to_string())
    }

    fn real(&self, path: &str) -> Option<String> {
        let path = Path::new(path);
        for above in path.ancestors() {
            if let Ok(real) = above.canonicalize() {
                let rest = path.strip_prefix(above).ok()?; // ok: it is one of its ancestors
                return Some(real.join(rest).display().to_string());
            }
        }
        None
    }

    fn hash(&self, path: &str) -> Option<String> {
        self.sum(Path::new(path)).map(|(_, hash)| hex::encode(hash))
    }
}

/// What differs since a yes, in a sentence.
fn differs(then: &Plan, now: &Plan) -> String {
    let is_same = |file: &&Witness| now.files.contains(file);
    match then.files.iter().find(|file| !is_same(file)) {
        Some(file) => format!("{} has changed since the yes", file.path),
        None => "What it would do has changed since the yes".to_owned(),
    }
}

fn risk_of(line: &Line) -> Risk {
    match commands::risk(&line.text, &line.reduced).level {
        Level::Low => Risk::Low,
        Level::Medium => Risk::Medium,
        Level::High => Risk::High,
    }
}

/// For what else a yes to a command line can count, the narrowest first. What cannot be taken apart, and programs with
/// code among their words, are asked for each time.
fn offers_of(line: &Line) -> Vec<Offer> {
    let seen = line.seen.as_deref().unwrap_or_default();
    let reads_folder = |one: &Seen| {
        let name = one.argv[0].rsplit('/').next().unwrap_or_default();
        FOLDERS_CODE.contains(&name)
    };
    if seen.iter().any(reads_folder) {
        return Vec::new();
    }
    let scopes = commands::scopes(seen);
    let label = |patterns: &[Pattern]| {
        let shown: Vec<String> = patterns.iter().map(Pattern::shown).collect();
        ellipsis(&shown.join(" · "), 300)
    };
    let offer = |patterns: Vec<Pattern>| Offer {
        label: label(&patterns),
        whats: patterns.into_iter().map(What::Command).collect(),
    };
    scopes.into_iter().map(|scope| offer(scope.patterns)).collect()
}

fn offers_of_request(request: Option<Asked>, digest: [u8; 32], plan: &Plan) -> Vec<Offer> {
    let shown = ellipsis(&plan.shown, 400);
    let same =
        Offer { label: "exactly this call".to_owned(), whats: vec![What::Same { digest, shown }] };
    let host = request.filter(|asked| asked.is_usual).map(|Asked { method, host, .. }| Offer {
        label: format!("{method} requests to {host}"),
        whats: vec![What::Host { method, host }],
    });
    std::iter::once(same).chain(host).collect()
}
