//! In-memory index of permissions, so that an authorization reads only the few permissions that can match the call.
//! The index is brought up to the snapshot of the authorization from the feed, so a permission revoked before that
//! snapshot never allows a call.

use std::collections::HashMap;

use commands::Key;
use kernel::PermissionId;
use store::columns::{self, Column};
use store::{Read, StoreError};

use super::authorize::{self, Facts};
use super::model::{Permission, What};
use super::queries::{self, ALL_TOOLS};

/// A permission in memory.
pub(super) struct CachedPermission(Permission);

/// Lookup key of a permission within its tool.
#[derive(Debug, PartialEq, Eq, Hash)]
enum By {
    /// Digest of a plan.
    Same([u8; 32]),
    Command(Key),
    /// Host or origin, lower case, without a trailing dot.
    Host(String),
}

impl By {
    fn host(host: &str) -> Self {
        Self::Host(host.trim_end_matches('.').to_ascii_lowercase())
    }
}

/// Positions of a tool's permissions, in order.
#[derive(Debug, Default)]
struct OfTool {
    /// Permissions for all calls of the tool.
    all: Vec<usize>,
    by: HashMap<By, Vec<usize>>,
    /// Permissions that deny commands. They apply to every line that cannot be parsed.
    forbidding: Vec<usize>,
}

#[derive(Debug, Default)]
pub(super) struct Found {
    tools: HashMap<String, OfTool>,
    /// Whether permissions changed since `tools` was built.
    is_old: bool,
}

impl Column for CachedPermission {
    type Of = Permission;
    type Shared = Found;

    fn of(record: &Permission, found: &mut Found) -> Self {
        found.is_old = true;
        Self(record.clone())
    }

    fn id(&self) -> PermissionId {
        self.0.id
    }

    fn on_removed(&self, found: &mut Found) {
        found.is_old = true;
    }

    fn tidy(rows: &mut [Self], found: &mut Found) {
        if std::mem::take(&mut found.is_old) {
            found.tools = tools(rows);
        }
    }
}

fn tools(rows: &[CachedPermission]) -> HashMap<String, OfTool> {
    let mut tools: HashMap<String, OfTool> = HashMap::new();
    for (at, CachedPermission(rule)) in rows.iter().enumerate() {
        let of = tools.entry(rule.tool.clone()).or_default();
        let by = match &rule.what {
            What::All => {
                of.all.push(at);
                continue;
            }
            What::Same { digest, .. } => By::Same(*digest),
            What::Command(pattern) => By::Command(pattern.key()),
            What::Host { host, .. } => By::host(host),
        };
        if authorize::forbids_commands(rule) {
            of.forbidding.push(at);
        }
        of.by.entry(by).or_default().push(at);
    }
    tools
}

impl Found {
    /// The valid permissions that may match a call, of all agents and runs: those of its tool in order, then those of
    /// all tools.
    fn of<'r>(&self, rows: &'r [CachedPermission], facts: &Facts<'_>) -> Vec<&'r Permission> {
        let keys = keys(facts);
        let is_opaque = authorize::is_opaque(facts);
        let mut places: Vec<usize> = Vec::new();
        let own = (facts.tool != ALL_TOOLS).then_some(facts.tool);
        for of in own.into_iter().chain([ALL_TOOLS]).filter_map(|tool| self.tools.get(tool)) {
            let begins = places.len();
            places.extend(&of.all);
            places.extend(keys.iter().filter_map(|key| of.by.get(key)).flatten());
            if is_opaque {
                places.extend(&of.forbidding);
            }
            places[begins..].sort_unstable();
        }
        places.dedup();
        let all = places.into_iter().filter_map(|at| rows.get(at));
        all.map(|CachedPermission(rule)| rule).filter(|rule| rule.counts_at(facts.now)).collect()
    }
}

/// Lookup keys of a call.
fn keys(facts: &Facts<'_>) -> Vec<By> {
    let mut keys = vec![By::Same(facts.digest)];
    keys.extend(
        authorize::commands_of(facts).iter().flat_map(commands::Seen::keys).map(By::Command),
    );
    if let Some(request) = facts.request {
        keys.push(By::host(&request.host));
        keys.extend(request.origin.as_deref().map(By::host));
    }
    keys
}

/// Calls `body` with the valid permissions that may match a call, as of this snapshot or a later commit. `body` must
/// not read columns itself.
pub(super) fn speaking<T>(
    read: &dyn Read,
    facts: &Facts<'_>,
    body: impl FnOnce(&[&Permission]) -> T,
) -> Result<T, StoreError> {
    // A replica has no columns, so read the permissions of the tool.
    if read.columns().is_none() {
        let all = queries::rules_of(&read, facts.tool, facts.now)?;
        return Ok(body(&all.iter().collect::<Vec<_>>()));
    }
    columns::with_shared(read, |rows: &[CachedPermission], found: &Found| {
        body(&found.of(rows, facts))
    })
}

/// A set of permissions with the same lookup.
pub(super) struct Among {
    rows: Vec<CachedPermission>,
    found: Found,
}

impl Among {
    /// Keeps the order of `all`.
    pub(super) fn new(all: Vec<Permission>) -> Self {
        let rows: Vec<CachedPermission> = all.into_iter().map(CachedPermission).collect();
        let found = Found { tools: tools(&rows), is_old: false };
        Self { rows, found }
    }

    /// The valid permissions that may match a call.
    pub(super) fn speaking(&self, facts: &Facts<'_>) -> Vec<&Permission> {
        self.found.of(&self.rows, facts)
    }
}

#[cfg(test)]
mod tests {
    use kernel::{AccessDecision, AgentId, TrustMode, TypedId as _};
    use proptest::prelude::*;
    use store::Record as _;
    use tool::Effect;

    use super::super::authorize::{OutgoingRequest, Reach, Verdict};
    use super::*;

    struct Bare;

    impl commands::Machine for Bare {
        fn resolve(&self, name: &str) -> Option<String> {
            Some(format!("/usr/bin/{name}"))
        }
        fn real(&self, path: &str) -> Option<String> {
            Some(path.trim_end_matches('/').to_owned())
        }
        fn hash(&self, _: &str) -> Option<String> {
            None
        }
    }

    fn seen(line: &str) -> Result<Vec<commands::Seen>, commands::Why> {
        let place = commands::Place { folder: "/w", start: "/w", machine: &Bare };
        commands::resolve(&commands::reduce(line), &place)
    }

    fn line() -> impl Strategy<Value = String> {
        let part =
            prop::sample::select(vec!["ls", "ls -l a", "cat b", "git log", "git log -3", "rg x"]);
        let all = prop::collection::vec(part, 1..3);
        prop_oneof![9 => all.prop_map(|all| all.join(" && ")), 1 => Just("ls $(x)".to_owned())]
    }

    fn what() -> impl Strategy<Value = What> {
        let hosts = vec!["shop.example", "Shop.Example.", "http://shop.example:8080"];
        let host = prop::sample::select(hosts);
        let method = prop::sample::select(vec!["", "GET", "post"]);
        let pattern = (line(), any::<bool>()).prop_map(|(line, last)| {
            let scopes = seen(&line).map(|seen| commands::scopes(&seen)).unwrap_or_default();
            let scope =
                if last { scopes.into_iter().next_back() } else { scopes.into_iter().next() };
            let pattern = scope.and_then(|scope| scope.patterns.into_iter().next());
            pattern.map_or(What::All, What::Command)
        });
        prop_oneof![
            1 => Just(What::All),
            2 => (0..3_u8).prop_map(|n| What::Same { digest: [n; 32], shown: String::new() }),
            4 => pattern,
            3 => (method, host).prop_map(|(method, host)| {
                What::Host { method: method.to_owned(), host: host.to_owned() }
            }),
        ]
    }

    fn rule() -> impl Strategy<Value = Permission> {
        let tool = prop::sample::select(vec!["exec", "http_request", "*"]);
        let access = prop::sample::select(vec![
            AccessDecision::Allow,
            AccessDecision::Ask,
            AccessDecision::Deny,
        ]);
        let agent = prop::option::of(0..2_u8);
        let ends = prop::option::of(-5..5_i64);
        (tool, access, agent, what(), ends).prop_map(|(tool, access, agent, what, ends)| {
            let sample = Permission::sample();
            let ends = ends.map(|ends| sample.created_at + jiff::SignedDuration::from_secs(ends));
            Permission {
                tool: tool.to_owned(),
                leave: access,
                agent: agent.map(|n| AgentId::from_bytes([n; 16])),
                what,
                expires_at: ends,
                ..sample
            }
        })
    }

    /// Reference result from all permissions in sequence.
    fn plainly(all: &[Permission], mode: TrustMode, agent: AgentId, facts: &Facts<'_>) -> Verdict {
        let of = |tool: &str| {
            let tool = tool.to_owned();
            all.iter().filter(move |rule| rule.tool == tool)
        };
        let rules = of(facts.tool).chain(of(ALL_TOOLS));
        let rules: Vec<&Permission> = rules
            .filter(|rule| rule.expires_at.is_none_or(|until| facts.now < until))
            .filter(|rule| rule.agent.is_none_or(|of| of == agent))
            .collect();
        authorize::one(mode, &rules, facts)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_found_decides_as_all_do(
            rules in prop::collection::vec(rule(), 0..12),
            (command, digest, method) in (line(), 0..3_u8, prop::sample::select(vec!["GET", "POST"])),
            (mode, is_exec) in (prop::sample::select(TrustMode::ALL.to_vec()), any::<bool>()),
            is_usual in any::<bool>(),
        ) {
            let rules: Vec<Permission> = rules.into_iter().zip(1_u8..).map(|(rule, n)| {
                Permission { id: PermissionId::from_bytes([n; 16]), ..rule }
            }).collect();
            let now = Permission::sample().created_at;
            let line = seen(&command);
            let origin = (!is_usual).then(|| "http://shop.example:8080".to_owned());
            let (method, host) = (method.to_owned(), "shop.example".to_owned());
            let request = OutgoingRequest { method, host, is_usual, origin };
            let facts = match is_exec {
                true => Facts {
                    line: Some(&line), digest: [digest; 32], ..Facts::of("exec", Effect::Exec, Reach::AnyHost, now)
                },
                false => Facts {
                    request: Some(&request),
                    digest: [digest; 32],
                    ..Facts::of("http_request", Effect::External, Reach::Elsewhere, now)
                },
            };
            let agent = AgentId::from_bytes([1; 16]);
            let among = Among::new(rules.clone());
            let found: Vec<&Permission> = among
                .speaking(&facts)
                .into_iter()
                .filter(|rule| rule.agent.is_none_or(|of| of == agent))
                .collect();
            prop_assert_eq!(authorize::one(mode, &found, &facts), plainly(&rules, mode, agent, &facts));
        }

        #[test]
        fn what_refuses_wins_nothing_widens_a_lock_and_nobody_lends_more_than_they_may(
            rules in prop::collection::vec(rule(), 0..12),
            command in line(),
            modes in prop::array::uniform2(prop::sample::select(TrustMode::ALL.to_vec())),
        ) {
            let now = Permission::sample().created_at;
            let line = seen(&command);
            let facts = Facts { line: Some(&line), ..Facts::of("exec", Effect::Exec, Reach::AnyHost, now) };
            let mut verdicts = Vec::new();
            for (n, mode) in (0_u8..).zip(modes) {
                let agent = AgentId::from_bytes([n; 16]);
                let verdict = plainly(&rules, mode, agent, &facts);
                let refuses = |rule: &Permission| {
                    rule.leave == AccessDecision::Deny
                        && ["exec", ALL_TOOLS].contains(&rule.tool.as_str())
                        && rule.agent.is_none_or(|of| of == agent)
                        && rule.counts_at(now)
                        && authorize::touches(&rule.what, &facts)
                };
                if mode == TrustMode::Locked || rules.iter().any(refuses) {
                    prop_assert_eq!(verdict.decision, AccessDecision::Deny);
                }
                verdicts.push(verdict);
            }
            let strictest = verdicts.iter().map(|one| one.decision).max();
            let both = verdicts.into_iter().reduce(Verdict::and);
            prop_assert_eq!(both.map(|both| both.decision), strictest);
        }
    }

    #[test]
    fn one_that_goes_is_found_no_more() {
        let mut found = Found::default();
        let rule = Permission { what: What::All, ..Permission::sample() };
        let mut rows = vec![CachedPermission::of(&rule, &mut found)];
        CachedPermission::tidy(&mut rows, &mut found);
        let facts = Facts::of("exec", Effect::Exec, Reach::Inside, rule.created_at);
        assert_eq!(found.of(&rows, &facts), [&rule]);
        rows[0].on_removed(&mut found);
        rows.clear();
        CachedPermission::tidy(&mut rows, &mut found);
        assert!(found.of(&rows, &facts).is_empty());
    }
}
