//! Recorded calls with the decision about each. A new permission is tried on them before it is saved. Of a command
//! line only the reduced commands, as resolved on the call's machine, are stored; other words are part of a hash
//! only.

use std::borrow::Cow;

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use commands::Seen;
use crypto::redact::Redactor;
use kernel::key::KeyBuf;
use kernel::{AccessDecision, AgentId, RunId, Timestamp, TypedId as _};
use store::{Class, Record, Table, codec};
use tool::Effect;

use super::Approval;
use crate::trust::authorize::{Facts, OutgoingRequest};

/// Recently authorized calls.
pub const JUDGED_CALLS: Table = Table::new(408, "judged_calls");

/// Maximum stored size of a command line in bytes.
const MAX_LINE: usize = 2 * 1024;
/// Maximum stored size of a request in bytes.
const MAX_REQUEST: usize = 512;
/// Maximum size of a recorded call in bytes.
const MAX_CALL: usize = 4 * 1024;
/// Length of the timestamp at the beginning of a key, in bytes.
const MOMENT: usize = 8;

/// Result of an authorization. A released layout only grows at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Became {
    /// Allowed without asking a person.
    Passed,
    /// A person was asked.
    Asked,
    /// Denied without asking a person.
    Refused,
    /// Denied by a person.
    Denied,
}

/// The facts about a call that decided its authorization, without secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// Call id assigned by the provider.
    pub call_id: String,
    pub tool: String,
    pub effect: Effect,
    /// SHA-256 of tool and plan.
    pub digest: [u8; 32],
    /// Commands of its line, reduced to the words that permissions compare; `None` if there is no deciding line, or
    /// it cannot be parsed, is too long or contains a secret.
    pub commands: Option<Vec<Seen>>,
    /// `None` if the request is too long or contains a secret.
    pub request: Option<OutgoingRequest>,
    pub became: Became,
}

impl CallRecord {
    /// Records a call authorized with these facts.
    #[must_use]
    pub fn of(
        call_id: &str,
        facts: &Facts<'_>,
        decision: AccessDecision,
        redactor: &Redactor,
    ) -> Self {
        let is_plain = |text: &str| matches!(redactor.text(text), Cow::Borrowed(_));
        let seen = facts.line.and_then(|line| line.as_ref().ok());
        let commands: Option<Vec<Seen>> = seen.map(|all| all.iter().map(Seen::reduced).collect());
        let commands = commands.filter(|all| {
            is_within(all, MAX_LINE) && all.iter().flat_map(Seen::texts).all(is_plain)
        });
        let request = facts.request.filter(|sent| {
            let texts = [Some(&sent.method), Some(&sent.host), sent.origin.as_ref()];
            is_within(sent, MAX_REQUEST) && texts.into_iter().flatten().all(|text| is_plain(text))
        });
        Self {
            call_id: call_id.to_owned(),
            tool: facts.tool.to_owned(),
            effect: facts.effect,
            digest: facts.digest,
            commands,
            request: request.cloned(),
            became: match decision {
                AccessDecision::Allow => Became::Passed,
                AccessDecision::Ask => Became::Asked,
                AccessDecision::Deny => Became::Refused,
            },
        }
    }

    /// Whether the call is within the size limit. A host may send anything.
    #[must_use]
    pub fn is_small(&self) -> bool {
        is_within(self, MAX_CALL)
    }
}

fn is_within<T: Serialize>(value: &T, most: usize) -> bool {
    codec::encode(value).is_ok_and(|bytes| bytes.len() <= most)
}

/// Key of a recorded call: time, then tool, run and call id.
pub type JudgedKey = (Timestamp, (String, (RunId, String)));

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgedCall {
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    pub run: RunId,
    pub agent: AgentId,
    pub call: CallRecord,
}

impl JudgedCall {
    /// Key of the call behind an approval.
    #[must_use]
    pub fn key_of(approval: &Approval) -> JudgedKey {
        let Approval { asked_at, tool, run, call_id, .. } = approval;
        (*asked_at, (tool.clone(), (*run, call_id.clone())))
    }

    /// Whether a key belongs to a call of the tool, checked without decoding the row.
    #[must_use]
    pub fn is_of(key: &[u8], tool: &KeyBuf) -> bool {
        key.get(MOMENT..).is_some_and(|rest| rest.starts_with(tool.bytes()))
    }
}

impl Record for JudgedCall {
    type Id = JudgedKey;
    const TABLE: Table = JUDGED_CALLS;
    const CLASS: Class = Class::Local;
    fn id(&self) -> JudgedKey {
        (self.at, (self.call.tool.clone(), (self.run, self.call.call_id.clone())))
    }
    fn sample() -> Self {
        Self {
            at: kernel::time::from_ms(1_700_000_000_000),
            run: RunId::from_bytes([8; 16]),
            agent: AgentId::from_bytes([5; 16]),
            call: CallRecord {
                call_id: "call_1".into(),
                tool: "exec".into(),
                effect: Effect::Exec,
                digest: [4; 32],
                commands: Some(vec![Seen::sample()]),
                request: Some(OutgoingRequest {
                    method: "GET".into(),
                    host: "shop.example".into(),
                    is_usual: false,
                    origin: Some("http://shop.example:8080".into()),
                }),
                became: Became::Denied,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crypto::keyring::Secret;

    use super::*;
    use crate::trust::authorize::Reach;
    use crate::trust::line;

    fn judged(line: &str, redactor: &Redactor) -> CallRecord {
        let (line, _) = line::looked_at(line.to_owned(), Path::new("/none"), "");
        let facts = Facts::of("exec", Effect::Exec, Reach::AnyHost, Timestamp::UNIX_EPOCH);
        let facts = Facts { line: Some(&line.seen), digest: [7; 32], ..facts };
        CallRecord::of("call_1", &facts, AccessDecision::Allow, redactor)
    }

    #[test]
    fn the_words_of_a_command_stay_in_its_fingerprint_alone() {
        let redactor = Redactor::new();
        let call = judged("echo one; rm two three", &redactor);
        let commands = call.commands.as_deref().expect("its commands");
        let words: Vec<&str> = commands.iter().flat_map(Seen::texts).collect();
        assert!(words.contains(&"echo") && words.contains(&"rm"), "{words:?}");
        for word in ["one", "two", "three"] {
            assert!(!words.contains(&word), "{words:?}");
        }
        assert!(codec::encode(&call).expect("its bytes").len() < 400);
        assert_eq!(call.became, Became::Passed);
    }

    #[test]
    fn what_names_a_secret_by_its_value_is_told_by_its_digest_alone() {
        let redactor = Redactor::new();
        redactor.add("KEY", Secret::new("a-value-that-is-secret".to_owned()));
        let call = judged("./a-value-that-is-secret x", &redactor);
        assert_eq!((call.commands, call.digest), (None, [7; 32]));
        assert!(judged("./another-value x", &redactor).commands.is_some());
        let host = |host: &str| {
            let (method, host) = ("GET".to_owned(), host.to_owned());
            let request = OutgoingRequest { method, host, is_usual: true, origin: None };
            let facts = Facts::of(
                "http_request",
                Effect::External,
                Reach::Elsewhere,
                Timestamp::UNIX_EPOCH,
            );
            let facts = Facts { request: Some(&request), ..facts };
            CallRecord::of("call_1", &facts, AccessDecision::Ask, &redactor).request
        };
        assert_eq!(host("a-value-that-is-secret.example"), None);
        assert!(host("shop.example").is_some());
        assert_eq!(host(&"a".repeat(1_000)), None, "too long");
    }

    #[test]
    fn a_long_line_is_kept_as_one_that_cannot_be_taken_apart() {
        let redactor = Redactor::new();
        let line = |count: usize| vec!["echo a"; count].join("; ");
        assert!(judged(&line(10), &redactor).commands.is_some());
        assert_eq!(judged(&line(60), &redactor).commands, None);
        assert_eq!(judged("echo $HOME", &redactor).commands, None);
    }

    #[test]
    fn a_key_tells_of_which_tool_its_call_is() {
        let call = JudgedCall::sample();
        let key = KeyBuf::of(&call.id());
        let of = |tool: &str| {
            let mut name = KeyBuf::new();
            name.text(tool);
            JudgedCall::is_of(key.bytes(), &name)
        };
        assert_eq!((of("exec"), of("exe"), of("execute")), (true, false, false));
    }
}
