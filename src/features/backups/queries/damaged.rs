//! Workspaces that cannot be opened: who may know of one, and how to restore it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::users::queries as users;
use app::{App, Broken};
use kernel::AccountId;
use store::StoreError;

/// Error code for a damaged workspace that must be restored from a backup.
pub const CODE: &str = "workspace_damaged";
/// Error code for a workspace that cannot be opened although its data is intact.
pub const UNOPENED: &str = "workspace_unopened";

/// A workspace that cannot be opened, for whoever is to bring it back.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Damaged {
    /// Its name in addresses.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// Why it cannot be opened.
    pub reason: String,
    /// The command that brings it back, once HQ is stopped; none where `reason` says what to do.
    pub restore: Option<String>,
}

impl Damaged {
    /// Error code for requests to this workspace.
    #[must_use]
    pub fn code(&self) -> &'static str {
        if self.restore.is_some() { CODE } else { UNOPENED }
    }

    /// Name, reason and advice in one sentence.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { slug, reason, .. } = self;
        match &self.restore {
            Some(command) => format!(
                "the workspace {slug} is damaged and can't be opened: {reason}. Stop HQ, restore \
                    it with {command}, and start HQ again. `hq backup list` shows all backups, and \
                    --at chooses an older one"
            ),
            None => format!("the workspace {slug} can't be opened: {reason}"),
        }
    }
}

/// Message for people who cannot run commands on this machine. Independent of the reason.
#[must_use]
pub fn words_for_people(slug: &str) -> String {
    format!(
        "the workspace {slug} can't be opened, so it's unavailable until the owner of this HQ \
            fixes it (`hq status` on the server shows how)"
    )
}

/// All workspaces that cannot be opened.
pub fn all(app: &App) -> Result<Vec<Damaged>, StoreError> {
    let broken: Vec<Broken> = app.broken.read().clone();
    if broken.is_empty() {
        return Ok(Vec::new());
    }
    let (rows, settings) = app
        .system
        .read(|snap| Ok::<_, StoreError>((users::workspaces(snap)?, super::settings(snap)?)))?;
    let place = super::address(app, &settings).map(|place| place.to_string());
    let place = place.unwrap_or_else(|_| settings.target.clone());
    let data = app.config.data.display().to_string();
    let damaged = broken.into_iter().map(|one| Damaged {
        name: rows
            .iter()
            .find(|row| row.slug == one.slug)
            .map(|row| row.label.clone())
            .unwrap_or_default(),
        restore: one.restore.then(|| {
            let [place, data] = [&place, &data].map(|text| quoted(text));
            format!("`hq restore {place} --workspace {} --data {data}`", one.slug)
        }),
        slug: one.slug,
        // `restore` contains the advice.
        reason: one.reason.split("; keep the file").next().unwrap_or_default().to_owned(),
    });
    Ok(damaged.collect())
}

/// Quotes text for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The damaged workspace with this slug.
pub fn named(app: &App, slug: &str) -> Result<Option<Damaged>, StoreError> {
    Ok(all(app)?.into_iter().find(|one| one.slug == slug))
}

/// Returns `true` for the owner of this HQ, as recorded on this machine.
pub fn keeps(app: &App, account: AccountId) -> Result<bool, StoreError> {
    let keeper = app.system.read(|snap| users::keeper(snap))?;
    Ok(keeper.is_some_and(|keeper| keeper.id == account))
}

/// Returns `true` if the account may know that the workspace cannot be opened: its former members, holders of tokens
/// for it, and the owner of this HQ. `false` if the workspace is open or unknown.
pub fn may_know(app: &App, account: AccountId, slug: &str) -> Result<bool, StoreError> {
    let Some(broken) = app.broken_workspace(slug) else { return Ok(false) };
    if broken.people.contains(&account) || keeps(app, account)? {
        return Ok(true);
    }
    app.system.read(|snap| {
        let row = users::workspaces(snap)?.into_iter().find(|row| row.slug == slug);
        let tokens = users::tokens(snap, account)?;
        Ok(row.is_some_and(|row| tokens.iter().any(|token| token.workspace == row.id)))
    })
}

#[cfg(test)]
mod tests {
    use super::{CODE, Damaged, UNOPENED, quoted};

    #[test]
    fn the_way_back_is_named_only_where_a_restore_is_one() {
        let mut one = Damaged {
            slug: "acme".into(),
            name: "Acme".into(),
            reason: "no file".into(),
            restore: Some("`hq restore 'b' --workspace acme --data 'd'`".into()),
        };
        assert!(one.words().contains("hq restore 'b' --workspace acme"), "{}", one.words());
        assert_eq!(one.code(), CODE);
        one.restore = None;
        assert_eq!(one.words(), "the workspace acme can't be opened: no file");
        assert_eq!(one.code(), UNOPENED);
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
