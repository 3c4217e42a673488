//! Machines that agents work on, as used for runs and costs. `None` stands for the machine that HQ runs on.

use std::sync::OnceLock;

use kernel::text::ellipsis;
use kernel::{AgentId, GatewayId};
use store::{Read, StoreError};

/// Slug of the machine that HQ runs on.
pub const HERE: &str = "local";
/// Maximum length of a typed name repeated in an error.
const MAX_SAID: usize = 60;

/// A machine that agents work on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// `None` for the machine that HQ runs on.
    pub gateway: Option<GatewayId>,
    /// Name in URLs and commands; never changes. The id for a removed machine.
    pub slug: String,
    /// Display name; states if the machine was removed.
    pub label: String,
}

/// Returns the gateway of an agent; `None` for the machine that HQ runs on.
pub type PlaceOf = fn(&dyn Read, AgentId) -> Result<Option<GatewayId>, StoreError>;

/// Returns all machines, the one that HQ runs on first.
pub type All = fn(&dyn Read) -> Result<Vec<Machine>, StoreError>;

static OF: OnceLock<(PlaceOf, All, All)> = OnceLock::new();

/// Installs the sources of current and removed machines, before the first run. Only the first call has an effect.
pub fn install(place: PlaceOf, all: All, former: All) {
    // ok: a second server in the same process has the same functions.
    let _ = OF.set((place, all, former));
}

/// The gateway of an agent; `None` for the machine that HQ runs on.
pub fn place(read: &dyn Read, agent: AgentId) -> Result<Option<GatewayId>, StoreError> {
    OF.get().map_or(Ok(None), |(of, ..)| of(read, agent))
}

/// Slug of a machine; the id for a removed one.
pub fn slug(read: &dyn Read, gateway: Option<GatewayId>) -> Result<String, StoreError> {
    match gateway {
        None => Ok(HERE.to_owned()),
        Some(_) => Ok(Machines::read(read)?.slug(gateway)),
    }
}

/// The machines of a workspace, the one that HQ runs on first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machines {
    there: Vec<Machine>,
    former: Vec<Machine>,
}

impl Machines {
    /// Current machines.
    pub fn read(read: &dyn Read) -> Result<Self, StoreError> {
        let here = || {
            let (slug, label) = (HERE.to_owned(), "This machine".to_owned());
            vec![Machine { gateway: None, slug, label }]
        };
        let there = OF.get().map_or_else(|| Ok(here()), |(_, all, _)| all(read))?;
        Ok(Self { there, former: Vec::new() })
    }

    /// Current machines, then removed ones that agents have worked on.
    pub fn with_former(read: &dyn Read) -> Result<Self, StoreError> {
        let former = OF.get().map_or_else(|| Ok(Vec::new()), |(.., former)| former(read))?;
        Ok(Self { former, ..Self::read(read)? })
    }

    pub fn all(&self) -> impl Iterator<Item = &Machine> {
        self.there.iter().chain(&self.former)
    }

    /// Whether there is more than one machine.
    #[must_use]
    pub fn are_many(&self) -> bool {
        1 < self.there.len() + self.former.len()
    }

    /// The machine of a gateway. Removed ones are found only if they were read.
    #[must_use]
    pub fn of(&self, gateway: Option<GatewayId>) -> Option<&Machine> {
        self.all().find(|one| one.gateway == gateway)
    }

    /// Slug of a machine; the id for a removed one.
    #[must_use]
    pub fn slug(&self, gateway: Option<GatewayId>) -> String {
        match (self.of(gateway), gateway) {
            (Some(one), _) => one.slug.clone(),
            (None, Some(id)) => id.to_string(),
            (None, None) => HERE.to_owned(),
        }
    }

    #[must_use]
    pub fn label(&self, gateway: Option<GatewayId>) -> &str {
        self.of(gateway).map_or("Removed machine", |one| one.label.as_str())
    }

    /// Finds a machine by slug, id or label.
    ///
    /// # Errors
    /// A message if there is none or the label is ambiguous.
    pub fn named(&self, name: &str) -> Result<&Machine, String> {
        let name = name.trim();
        let id: Option<GatewayId> = name.parse().ok();
        let is_it = |one: &&Machine| one.slug == name || (id.is_some() && one.gateway == id);
        if let Some(one) = self.all().find(is_it) {
            return Ok(one);
        }
        let (short, wanted) = (ellipsis(name, MAX_SAID), name.to_lowercase());
        let mut called = self.all().filter(|one| one.label.to_lowercase() == wanted);
        match (called.next(), called.next()) {
            (Some(one), None) => Ok(one),
            (Some(_), Some(_)) => {
                Err(format!("several gateways are called \"{short}\"; use a slug"))
            }
            (None, _) => {
                let slugs: Vec<&str> = self.there.iter().map(|one| one.slug.as_str()).collect();
                let all = slugs.join(", ");
                Err(format!("there is no gateway \"{short}\"; available: {all}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{GatewayId, HERE, Machine, Machines};
    use kernel::TypedId as _;

    fn id(n: u8) -> Option<GatewayId> {
        Some(GatewayId::from_bytes([n; 16]))
    }

    fn machines() -> Machines {
        let one = |gateway, slug: &str, label: &str| Machine {
            gateway,
            slug: slug.to_owned(),
            label: label.to_owned(),
        };
        let there = vec![
            one(None, HERE, "Office"),
            one(id(1), "gpu-box", "GPU box"),
            one(id(2), "gpu-box-2", "GPU box"),
            one(id(3), "nas", "NAS"),
        ];
        let word = id(4).unwrap().to_string();
        Machines { there, former: vec![one(id(4), &word, "Tower, removed")] }
    }

    #[test]
    fn a_machine_is_known_by_its_slug_its_id_and_a_label_of_its_own() {
        let all = machines();
        let found = |name: &str| all.named(name).map(|one| one.gateway);
        assert_eq!(found(HERE), Ok(None));
        assert_eq!(found("office"), Ok(None));
        assert_eq!(found("gpu-box"), Ok(id(1)));
        assert_eq!(found(&id(2).unwrap().to_string()), Ok(id(2)));
        assert_eq!(found(" nas "), Ok(id(3)));
        assert!(found("GPU box").unwrap_err().contains("use a slug"));
        let unknown = found("attic").unwrap_err();
        assert!(unknown.contains("\"attic\"") && unknown.contains("local, gpu-box"), "{unknown}");
        assert!(found("").unwrap_err().starts_with("there is no gateway"));
        assert!(found(&id(9).unwrap().to_string()).is_err());
    }

    #[test]
    fn a_machine_that_was_removed_has_its_id_for_a_word() {
        let all = machines();
        assert_eq!((all.slug(None).as_str(), all.label(None)), (HERE, "Office"));
        assert_eq!((all.slug(id(3)).as_str(), all.label(id(3))), ("nas", "NAS"));
        assert_eq!(all.slug(id(9)), id(9).unwrap().to_string());
        assert_eq!(all.label(id(9)), "Removed machine");
        assert!(all.are_many());
        let word = id(4).unwrap().to_string();
        assert_eq!((all.slug(id(4)), all.label(id(4))), (word.clone(), "Tower, removed"));
        assert_eq!(all.named(&word).map(|one| one.gateway), Ok(id(4)));
        let unknown = all.named("tower").unwrap_err();
        assert!(!unknown.contains(&word), "those that there are: {unknown}");
    }
}
