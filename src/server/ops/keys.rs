//! `hq doctor keys`: state of the master key, progress of an interrupted rotation, and the remedy.

use serde::{Deserialize, Serialize};

use app::App;
use crypto::master;
use features::rotation::model::Rotation;
use features::rotation::queries::{self, Standing};
use features::users::queries as users;
use store::StoreError;

/// State of the master key.
#[derive(Debug, Serialize, Deserialize)]
pub struct Found {
    /// `whole`, `under_way`, `waits`, `wrong_key` or `shut`.
    pub state: String,
    /// Id of the current key.
    pub current: String,
    /// Ids of former keys that can still decrypt, latest first.
    pub formers: Vec<String>,
    /// The old key of an unfinished rotation.
    pub from: Option<String>,
    /// The new key of an unfinished rotation.
    pub to: Option<String>,
    /// Number of rows resealed so far.
    pub sealed: u64,
    /// The stores that are finished.
    pub through: Vec<String>,
    /// The state in sentences.
    pub says: String,
    /// The remedy; empty if nothing is to be done.
    pub helps: String,
}

impl Found {
    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.helps.is_empty()
    }
}

/// State of an unfinished rotation: name, description and remedy.
type Half = (&'static str, String, String);

/// Checks the rotation journal, the key ring and the key files. `runs` tells whether HQ is running. Blocking.
pub fn inspect(app: &App, runs: bool) -> Result<Found, StoreError> {
    let standing = queries::standing(app)?;
    let misfit = app.system.read(|snap| users::key_trouble(snap, &app.keyring))?;
    let open = standing.last.as_ref().filter(|last| last.ended_at.is_none());
    let (state, says, helps) = match (open, &standing.last, misfit) {
        (Some(open), ..) => half(app, &standing, open, runs),
        (None, _, Some(misfit)) => {
            let helps = "Put the right key back in its file, and start HQ again.".to_owned();
            ("wrong_key", format!("{}.", misfit.words), helps)
        }
        (None, Some(last), None) if 0 < last.shut => (
            "shut",
            format!(
                "{} can’t be opened with any key here.",
                web::format::count(last.shut, "value", "values")
            ),
            "Enter them again: Settings › Secrets and the connections show which.".to_owned(),
        ),
        (None, ..) => {
            let says = "Everything is encrypted with the current master key.";
            ("whole", says.to_owned(), String::new())
        }
    };
    let open = open.cloned();
    Ok(Found {
        state: state.to_owned(),
        formers: standing.formers.into_iter().map(|former| former.id).collect(),
        current: standing.current,
        sealed: open.as_ref().map_or(0, |one| one.sealed),
        from: open.as_ref().map(|one| one.from.clone()),
        to: open.as_ref().map(|one| one.to.clone()),
        through: open.map(|one| one.through).unwrap_or_default(),
        says,
        helps,
    })
}

fn half(app: &App, standing: &Standing, open: &Rotation, runs: bool) -> Half {
    let Rotation { from, to, .. } = open;
    let file = app.config.key_file();
    let current = &standing.current;
    if current == from {
        let says = match master::has_next(&file) {
            true => format!(
                "The key {to} was chosen {} and isn't active yet: {from} is still in use. The next \
                 start activates it.",
                open.begun_at
            ),
            false => format!(
                "The key {to} was chosen {} and is missing. The next start reverts the change, \
                 and {from} stays.",
                open.begun_at
            ),
        };
        return ("waits", says, "Start HQ again.".to_owned());
    }
    if current != to {
        let says = format!(
            "A change from {from} to {to} is incomplete, and the current key ({current}) is \
             neither."
        );
        let helps = format!("Put {to} back as {} and start HQ again.", file.display());
        return ("wrong_key", says, helps);
    }
    let says = format!(
        "The key {to} is in use since {}; {} rows encrypted with {from} are re-encrypted so far, \
         and these stores are complete: {}.",
        open.begun_at,
        open.sealed,
        if open.through.is_empty() { "none".to_owned() } else { open.through.join(", ") }
    );
    if !app.keyring.knows(from) {
        let helps = format!(
            "The key {from} is missing, so values encrypted with it can't be opened: put it back \
             as {} and start HQ again.",
            master::former_file(&file, from).display()
        );
        return ("wrong_key", says, helps);
    }
    let helps = match (standing.waits.is_empty(), runs) {
        (true, true) => return ("under_way", says, String::new()),
        (true, false) => {
            "Start HQ: it continues automatically. Keep both keys until then.".to_owned()
        }
        (false, _) => format!(
            "These workspaces aren't open, so their values aren't re-encrypted yet: {}. Restore or \
             delete them.",
            standing.waits.join(", ")
        ),
    };
    ("waits", says, helps)
}

/// Formats the report.
#[must_use]
pub fn lines(found: &Found) -> Vec<String> {
    let mut lines = vec![format!("Master key: {}", found.current)];
    if !found.formers.is_empty() {
        lines.push(format!("Still readable: {}", found.formers.join(", ")));
    }
    lines.push(found.says.clone());
    if !found.helps.is_empty() {
        lines.push(format!("To do: {}", found.helps));
    }
    lines
}
